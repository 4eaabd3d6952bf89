// Shows what datalab_notices.py tells this member as notifications, as long as it holds.
// Loaded as it is, like datalab-announcements.
(() => {
  const name = "datalab-notices";
  const seconds = 5;

  const activate = (app) => {
    const { baseUrl } = app.serviceManager.serverSettings;
    const shown = new Map(); // id of a notice -> id of its notification

    const look = async () => {
      // JupyterHub wants its token against forged requests even for reading.
      const [, token = ""] = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) || [];
      const answer = await fetch(`${baseUrl}datalab/notices`, { cache: "no-store", headers: { "X-XSRFToken": token } });
      if (!answer.ok) throw new Error(`${answer.status}`);
      const notices = await answer.json();
      for (const { id, level, text } of notices.filter((notice) => !shown.has(notice.id))) {
        const options = { autoClose: false };
        shown.set(id, await app.commands.execute("apputils:notify", { message: text, type: level, options }));
      }
      for (const id of [...shown.keys()].filter((known) => !notices.some((notice) => notice.id === known))) {
        await app.commands.execute("apputils:dismiss-notification", { id: shown.get(id) });
        shown.delete(id);
      }
    };

    // One look after the other, so that none shows a notice twice; the next one finds a server that was away.
    const again = () => {
      const quietly = look().catch((error) => console.debug(`${name}: ${error}`));
      quietly.then(() => setTimeout(again, seconds * 1000));
    };
    app.restored.then(again);
  };

  const extension = { __esModule: true, default: { id: `${name}:plugin`, autoStart: true, activate } };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[name] = { init: () => undefined, get: async () => () => extension };
})();
