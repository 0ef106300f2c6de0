// Verifies access tokens for as long as they come, as a Node service would: with one remote key set of jose.
//
// Arguments: the folder of node_modules, JWKS URL, issuer, audience, how many times faster than its own the issuer's clock
// runs. Each line of standard input is a token; each is answered with a line, `ok` or the reason of the refusal. Times are
// not judged: they are another clock's.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [tools, jwksUrl, issuer, audience, faster] = process.argv.slice(2);
const found = createRequire(join(tools, "package.json")).resolve("jose");
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(found));

// The library's defaults, by the other clock.
const keys = createRemoteJWKSet(new URL(jwksUrl), {
  cooldownDuration: 30_000 / Number(faster),
  cacheMaxAge: 600_000 / Number(faster),
});
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const rules = { issuer, audience, algorithms: ["ES256"], typ: "at+jwt", clockTolerance: 10_000_000 };
    await jwtVerify(line.trim(), keys, rules);
    console.log("ok");
  } catch (error) {
    console.log(String(error));
  }
}
