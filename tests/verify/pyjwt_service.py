"""Verifies access tokens for as long as they come, as a Python service would: with one PyJWKClient.

Arguments: JWKS URL, issuer, audience, how many times faster than its own the issuer's clock runs. Each line of standard
input is a token; each is answered with a line, `ok` or the reason of the refusal. Times are not judged: they are another
clock's.
"""

import sys

import jwt

jwks_url, issuer, audience, faster = sys.argv[1:]
keys = jwt.PyJWKClient(jwks_url, lifespan=300 / float(faster))
for line in sys.stdin:
    token = line.strip()
    try:
        jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["ES256"],
            issuer=issuer,
            audience=audience,
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        print("ok", flush=True)
    except Exception as error:
        print(repr(error), flush=True)
