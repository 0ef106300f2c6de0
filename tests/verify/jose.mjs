// Verifies an access token as a Node service would: with jose, from the JWKS URL alone.
//
// Arguments: the folder of node_modules, JWKS URL, issuer, audience, algorithm; the token comes on standard input.
// Prints the claims as JSON.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, jwksUrl, issuer, audience, algorithm] = process.argv.slice(2);
const found = createRequire(join(tools, "package.json")).resolve("jose");
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(found));

const token = readFileSync(0, "utf8").trim();
const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwksUrl)), {
  issuer,
  audience,
  algorithms: [algorithm],
  typ: "at+jwt",
  requiredClaims: ["sub", "exp", "iat", "jti", "client_id"],
});
console.log(JSON.stringify(payload));
