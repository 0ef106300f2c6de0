"""Verifies an access token as a Python service would: with PyJWT, from the JWKS URL alone.

Arguments: JWKS URL, issuer, audience, algorithm; the token comes on standard input. Prints the claims as JSON.
"""

import json
import sys

import jwt

jwks_url, issuer, audience, algorithm = sys.argv[1:]
token = sys.stdin.read().strip()
key = jwt.PyJWKClient(jwks_url).get_signing_key_from_jwt(token)
claims = jwt.decode(
    token,
    key,
    algorithms=[algorithm],
    issuer=issuer,
    audience=audience,
    options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
)
print(json.dumps(claims))
