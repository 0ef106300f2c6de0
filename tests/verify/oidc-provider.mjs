// An OpenID provider that is not ours: node-oidc-provider, at which anybody logs in by any name.
//
// Argument: the folder of node_modules. Prints its issuer; then reads lines `CLIENT_ID CLIENT_SECRET REDIRECT_URI` and
// serves that one client. It ends with its standard input.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [tools] = process.argv.slice(2);
const found = createRequire(join(tools, "package.json")).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

let answer = (_, response) => response.writeHead(503).end();
const server = createServer((request, response) => answer(request, response));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://localhost:${server.address().port}`;
console.log(issuer);

for await (const line of createInterface({ input: process.stdin })) {
  const [client_id, client_secret, redirect_uri] = line.split(" ");
  const provider = new Provider(issuer, {
    clients: [{ client_id, client_secret, redirect_uris: [redirect_uri] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"] },
    cookies: { keys: ["only a test"] },
    pkce: { required: () => true },
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: `${sub}@example.org`, email_verified: true, preferred_username: sub }),
    }),
  });
  answer = provider.callback();
  console.log("ready");
}
process.exit(0);
