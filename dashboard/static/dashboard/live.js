/* Pages that follow what is under way: while #live says so by data-every-ms, it is fetched anew and put in its own place. */
(() => {
  "use strict";
  const LONGEST_WAIT_MS = 30000;
  let failures = 0;

  const every = () => Number(document.getElementById("live")?.dataset.everyMs || 0);

  function again() {
    const wait = every();
    if (wait > 0) window.setTimeout(refresh, Math.min(wait * 2 ** failures, LONGEST_WAIT_MS));
  }

  async function refresh() {
    if (document.hidden) return again();
    try {
      const response = await fetch(window.location.pathname + "?fragment=1", { credentials: "same-origin" });
      if (response.redirected) return;  // signed out: the next click shows the login page
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) return;
      show(fresh);
      failures = 0;
    } catch {
      failures += 1;
    }
    document.getElementById("live").classList.toggle("cs-stale", failures > 0);
    again();
  }

  function show(fresh) {
    const old = document.getElementById("live");
    // What was unfolded stays so, and who uses the keyboard stays where they are.
    for (const details of old.querySelectorAll("details[id]")) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = details.open;
    }
    const links = (root) => [...root.querySelectorAll("a, button, summary")];
    const place = links(old).indexOf(document.activeElement);
    old.replaceWith(document.adoptNode(fresh));
    if (place >= 0) links(fresh)[place]?.focus({ preventScroll: true });
  }

  again();
})();
