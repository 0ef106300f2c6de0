// A service that logs people in as any Node service would: with openid-client, from the issuer's address alone.
//
// Arguments: the folder of node_modules, issuer, client id, client secret, port. Serves / (which leads to the log-in),
// /callback, and /goodbye. Prints what it learned of the user who comes back, a line of JSON each.

import http from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, issuer, id, secret, port] = process.argv.slice(2);
const found = createRequire(join(tools, "package.json")).resolve("openid-client");
const client = await import(pathToFileURL(found));

const origin = `http://127.0.0.1:${port}`;
const redirect_uri = `${origin}/callback`;
// Everything is on this machine, so nothing is encrypted.
const options = { execute: [client.allowInsecureRequests] };
const config = await client.discovery(new URL(issuer), id, undefined, client.ClientSecretBasic(secret), options);
const begun = new Map();

async function begin() {
  const [verifier, state, nonce] = [client.randomPKCECodeVerifier(), client.randomState(), client.randomNonce()];
  begun.set(state, { verifier, nonce });
  return client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: "openid profile email offline_access",
    state,
    nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
}

async function finish(url) {
  const state = url.searchParams.get("state");
  const { verifier, nonce } = begun.get(state);
  begun.delete(state);
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  const tokens = await client.authorizationCodeGrant(config, url, checks);
  const claims = tokens.claims();
  const user = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
  const logout = client.buildEndSessionUrl(config, {
    id_token_hint: refreshed.id_token,
    post_logout_redirect_uri: `${origin}/goodbye`,
    state: "seen you",
  });
  return { claims, user, refreshed: refreshed.claims(), logout: logout.href };
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, origin);
  const page = (text) => {
    response.writeHead(200, { "Content-Type": "text/html" });
    response.end(`<!doctype html><title>app</title><link rel="icon" href="data:,"><p>${text}</p>`);
  };
  try {
    if (url.pathname === "/") {
      response.writeHead(302, { Location: (await begin()).href });
      response.end();
    } else if (url.pathname === "/callback") {
      const learned = await finish(url);
      console.log(JSON.stringify(learned));
      page(`Hello from the app. <a href="${learned.logout.replaceAll("&", "&amp;")}">Log out</a>`);
    } else {
      page(`Goodbye from the app: ${url.searchParams.get("state")}`);
    }
  } catch (error) {
    console.log(JSON.stringify({ error: String(error), cause: String(error.cause) }));
    page("The app is not content.");
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ listening: true })));
