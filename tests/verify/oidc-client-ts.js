// The page of a browser app made with oidc-client-ts. `/settings` has the issuer, the client and its scope. The page shows
// what the last step brought.

(async () => {
  const settings = await (await fetch("/settings")).json();
  const at = (path) => location.origin + path;
  const manager = new oidc.UserManager({
    ...settings,
    redirect_uri: at("/callback"),
    popup_redirect_uri: at("/popup"),
    silent_redirect_uri: at("/silent"),
    post_logout_redirect_uri: at("/"),
    loadUserInfo: true,
    automaticSilentRenew: false,
  });
  const say = (text) => {
    document.getElementById("said").textContent = text;
  };
  const tell = (step, user) => say(`${step}: ${user.profile.preferred_username} of ${user.profile.sub}`);

  const steps = {
    redirect: () => manager.signinRedirect(),
    popup: async () => tell("popup", await manager.signinPopup()),
    renew: async () => {
      const before = await manager.getUser();
      const user = await manager.signinSilent();
      if (user.access_token === before.access_token) throw new Error("the same token");
      tell(before.refresh_token ? "renewed by refresh" : "renewed in a frame", user);
    },
    revoke: async () => {
      await manager.revokeTokens();
      say("revoked");
    },
    logout: () => manager.signoutRedirect(),
  };
  const run = async (name, step) => {
    try {
      await step();
    } catch (error) {
      say(`${name} failed: ${error.error ?? error.message}`);
    }
  };
  for (const [name, step] of Object.entries(steps)) {
    document.getElementById(name).addEventListener("click", () => run(name, step));
  }

  const callbacks = {
    "/callback": async () => tell("redirect", await manager.signinRedirectCallback()),
    "/popup": () => manager.signinPopupCallback(),
    "/silent": () => manager.signinSilentCallback(),
    "/": async () => {
      if (!(await manager.getUser())) say("nobody is logged in");
    },
  };
  await run(location.pathname, callbacks[location.pathname]);
})();
