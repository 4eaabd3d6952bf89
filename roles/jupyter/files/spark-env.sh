# Read by Spark's own programs, as the member, before Java starts (SPARK_CONF_DIR; see docs/howto/spark.md).
# Everything set here is exported.
SPARK_LOCAL_DIRS="${XDG_CACHE_HOME:-$HOME/.cache}/spark"
mkdir -p "$SPARK_LOCAL_DIRS" && chmod 0700 "$SPARK_LOCAL_DIRS"
# Java unpacks compiled code (snappy, zstd, netty) into its temporary folder, and nothing runs from /tmp on core IT's images.
SPARK_SUBMIT_OPTS="-Djava.io.tmpdir=$SPARK_LOCAL_DIRS ${SPARK_SUBMIT_OPTS:-}"
# A third of what JupyterHub lets the member have. Java needs 200 to 300 MB beside its heap, so that it holds about half in
# all; kernels and Python's workers live on the rest.
if [ -n "${MEM_LIMIT:-}" ]; then
  SPARK_DRIVER_MEMORY="${SPARK_DRIVER_MEMORY:-$((MEM_LIMIT / 3145728))m}"
fi
# The local server is for all kernels, but a kernel that is slow to end is killed with its whole process group: the server
# gets a session of its own. Started again so, the script does not come here: SPARK_ENV_LOADED is set by then.
case $0 in
  */start-connect-server.sh) exec setsid --wait "$0" "$@" ;;
esac
