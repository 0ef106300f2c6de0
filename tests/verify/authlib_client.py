"""A client made with Authlib: the code with PKCE, the ID token, refresh, introspection, revocation, and client credentials
with private_key_jwt.

Arguments: {issuer, client_id, secret, redirect_uri} as JSON. Says the public key of its service, hears that service's
client id, says an address, hears where the browser came back, and says what it learned.
"""

import json
import sys

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

settings = json.loads(sys.argv[1])
server = requests.get(settings["issuer"] + "/.well-known/openid-configuration", timeout=60).json()


def say(line):
    print(json.dumps(line), flush=True)


def hear():
    return json.loads(sys.stdin.readline())


key = ECKey.generate_key("P-256", {"kid": "1", "alg": "ES256"})
say({"jwk": key.as_dict(private=False)})
service = OAuth2Session(
    hear()["client_id"],
    key,
    scope="read",
    token_endpoint_auth_method=PrivateKeyJWT(server["token_endpoint"], alg="ES256"),
)
own = service.fetch_token(server["token_endpoint"], grant_type="client_credentials")

session = OAuth2Session(
    settings["client_id"],
    settings["secret"],
    scope="openid profile email offline_access",
    redirect_uri=settings["redirect_uri"],
    code_challenge_method="S256",
)
verifier, nonce = generate_token(48), generate_token(20)
url, state = session.create_authorization_url(
    server["authorization_endpoint"], code_verifier=verifier, nonce=nonce
)
say({"url": url})
back = hear()["back"]
tokens = session.fetch_token(
    server["token_endpoint"], authorization_response=back, code_verifier=verifier, state=state
)
keys = KeySet.import_key_set(requests.get(server["jwks_uri"], timeout=60).json())
decoded = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"])
claims = CodeIDToken(
    decoded.claims,
    decoded.header,
    {"iss": {"essential": True, "value": server["issuer"]}, "aud": {"essential": True, "value": settings["client_id"]}},
    {"nonce": nonce, "client_id": settings["client_id"], "access_token": tokens["access_token"]},
)
claims.validate(leeway=30)
user = session.get(server["userinfo_endpoint"]).json()
refreshed = session.refresh_token(server["token_endpoint"], refresh_token=tokens["refresh_token"])


def active():
    answer = session.introspect_token(
        server["introspection_endpoint"], token=refreshed["access_token"], token_type_hint="access_token"
    )
    return answer.json()["active"]


before = active()
revoked = session.revoke_token(server["revocation_endpoint"], token=refreshed["refresh_token"]).status_code
say(
    {
        "own": own,
        "claims": dict(claims),
        "user": user,
        "refreshed": refreshed,
        "before": before,
        "revoked": revoked,
        "after": active(),
    }
)
