// Shows the platform's announcement (see datalab_announcement.py) as a notification, in tabs that are already open.
// JupyterLab loads it as it is: a container with init and get is all that its module federation asks for.
(() => {
  const name = "datalab-announcements";
  const seconds = 30;

  const activate = (app) => {
    const { hubPrefix } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const shown = { id: "", notification: null };

    const look = async () => {
      const answer = await fetch(`${hubPrefix}announcement`, { cache: "no-store" });
      const { id = "", message, until } = answer.ok ? await answer.json() : shown;
      if (id === shown.id) return;
      if (shown.notification) await app.commands.execute("apputils:dismiss-notification", { id: shown.notification });
      Object.assign(shown, { id, notification: null });
      if (!id) return;
      const time = new Date(until).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
      shown.notification = await app.commands.execute("apputils:notify", {
        message: `${message} (until ${time})`,
        type: "warning",
        options: { autoClose: false },
      });
    };

    // The hub may be away for a moment; the next look finds it again.
    const quietly = () => look().catch((error) => console.debug(`${name}: ${error}`));
    app.restored.then(quietly);
    setInterval(quietly, seconds * 1000);
  };

  const extension = { __esModule: true, default: { id: `${name}:plugin`, autoStart: true, activate } };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[name] = { init: () => undefined, get: async () => () => extension };
})();
