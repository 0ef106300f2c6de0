"""A client made with requests-oauthlib: the code with PKCE, and a refresh by itself when the access token is over.

Arguments: {issuer, client_id, secret, redirect_uri} as JSON; a public client has no secret. Says an address, hears where
the browser came back, and says what it learned.
"""

import json
import os
import sys

import requests

# Everything is on this machine, so nothing is encrypted.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
from requests_oauthlib import OAuth2Session  # noqa: E402

settings = json.loads(sys.argv[1])
server = requests.get(settings["issuer"] + "/.well-known/openid-configuration", timeout=60).json()
secret = settings["secret"] or None


def say(line):
    print(json.dumps(line), flush=True)


kept = []
session = OAuth2Session(
    settings["client_id"],
    redirect_uri=settings["redirect_uri"],
    scope=["openid", "profile", "offline_access"],
    pkce="S256",
    auto_refresh_url=server["token_endpoint"],
    # A public client has nothing to add: the request to refresh names no client.
    auto_refresh_kwargs={"client_id": settings["client_id"], "client_secret": secret} if secret else {},
    token_updater=kept.append,
)
url, state = session.authorization_url(server["authorization_endpoint"], nonce="n-0S6_WzA2Mj")
say({"url": url})
back = json.loads(sys.stdin.readline())["back"]
first = session.fetch_token(
    server["token_endpoint"],
    authorization_response=back,
    client_secret=secret,
    include_client_id=None if secret else True,
)
before = session.get(server["userinfo_endpoint"]).json()
# As if its lifetime were over.
session.token = dict(first, expires_in=-10, expires_at=1)
after = session.get(server["userinfo_endpoint"]).json()
say({"first": first, "kept": kept, "before": before, "after": after})
