// node-oidc-provider as a peer of the measurement: in memory, with nothing that lasts.
//
// Arguments: the folder of node_modules, the port, and how many sessions to make. Prints one line of JSON: the credentials
// of a client, and an access token and a refresh token for each session.

import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, port, count] = process.argv.slice(2);
const found = createRequire(join(tools, "package.json")).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

const [client_id, client_secret, resource] = ["load", "a secret of the load program only", "https://api.example"];
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "load" };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id,
      client_secret,
      redirect_uris: ["https://client.example/callback"],
      grant_types: ["authorization_code", "refresh_token", "client_credentials"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: ["only for a measurement"] },
  clientBasedCORS: () => false,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    // With a resource it signs its access tokens, as the service does.
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => (ctx.oidc.params?.grant_type === "client_credentials" ? resource : undefined),
      getResourceServerInfo: () => ({ scope: "read", accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
    },
  },
  rotateRefreshToken: () => true,
  ttl: { AccessToken: 3600, Grant: 3600, IdToken: 3600, RefreshToken: 3600, Session: 3600, ClientCredentials: 600 },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
});

const client = await provider.Client.find(client_id);
const sessions = [];
for (let number = 0; number < Number(count); number += 1) {
  const accountId = `load_${number}`;
  const scope = "openid offline_access";
  const grant = new provider.Grant({ accountId, clientId: client_id });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  const token = { accountId, authTime: Math.floor(Date.now() / 1000), client, grantId, gty: "authorization_code", scope };
  const access = await new provider.AccessToken(token).save();
  const refresh = await new provider.RefreshToken(token).save();
  sessions.push([access, refresh]);
}
provider.listen(Number(port), "127.0.0.1", () => {
  const credentials = [client_id, client_secret].map(encodeURIComponent).join(":");
  console.log(JSON.stringify({ credentials: Buffer.from(credentials).toString("base64"), sessions }));
});
