// A client made with oauth4webapi: discovery, a pushed request, the code with PKCE, userinfo, the access token as a
// resource server reads it, refresh, introspection and revocation.
//
// Arguments: the folder of node_modules, and {issuer, redirect_uri} as JSON. Says its public key, hears its clients
// ({client_id, method, secret?} each), and for each says an address, hears where the browser came back, and says what it
// learned.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [tools, json] = process.argv.slice(2);
const { issuer, redirect_uri } = JSON.parse(json);
const found = createRequire(join(tools, "package.json")).resolve("oauth4webapi");
const oauth = await import(pathToFileURL(found));

const say = (line) => console.log(JSON.stringify(line));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const hear = async () => JSON.parse((await lines.next()).value);

// Everything is on this machine, so nothing is encrypted.
const options = { [oauth.allowInsecureRequests]: true };
const server = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), options),
);
const pair = await oauth.generateKeyPair("ES256", { extractable: true });
say({ jwk: { ...(await crypto.subtle.exportKey("jwk", pair.publicKey)), alg: "ES256", kid: "1" } });

const methods = {
  client_secret_basic: (secret) => oauth.ClientSecretBasic(secret),
  client_secret_post: (secret) => oauth.ClientSecretPost(secret),
  private_key_jwt: () => oauth.PrivateKeyJwt({ key: pair.privateKey, kid: "1" }),
};

for (const { client_id, method, secret } of await hear()) {
  const client = { client_id };
  const authentication = methods[method](secret);
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const parameters = {
    response_type: "code",
    redirect_uri,
    scope: "openid profile email offline_access",
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  };
  const pushed = await oauth.processPushedAuthorizationResponse(
    server,
    client,
    await oauth.pushedAuthorizationRequest(server, client, authentication, parameters, options),
  );
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({ client_id, request_uri: pushed.request_uri });
  say({ url: url.href });

  const { back } = await hear();
  const answer = oauth.validateAuthResponse(server, client, new URL(back), state);
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, authentication, answer, redirect_uri, verifier, options,
  );
  const checks = { expectedNonce: nonce, requireIdToken: true };
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, checks);
  await oauth.validateApplicationLevelSignature(server, response, options);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  const user = await oauth.processUserInfoResponse(
    server, client, claims.sub, await oauth.userInfoRequest(server, client, tokens.access_token, options),
  );
  const called = new Request("https://api.example/", { headers: { authorization: `Bearer ${tokens.access_token}` } });
  const access = await oauth.validateJwtAccessToken(server, called, issuer, options);
  const refreshed = await oauth.processRefreshTokenResponse(
    server, client, await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token, options),
  );
  const introspect = async (token) => oauth.processIntrospectionResponse(
    server, client, await oauth.introspectionRequest(server, client, authentication, token, options),
  );
  const before = await introspect(refreshed.access_token);
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(server, client, authentication, refreshed.refresh_token, options),
  );
  const after = await introspect(refreshed.access_token);
  say({ method, claims, user, access, before, after, refreshed: oauth.getValidatedIdTokenClaims(refreshed) });
}
process.exit(0);
