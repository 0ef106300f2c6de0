//! Status list tokens, which gateways verify.

use crate::{
    crypto::{jose::jwt::tests::*, status_list},
    domain::status_list::StatusListClaims,
};

fn list(lst: String) -> StatusListClaims {
    StatusListClaims::of(ISSUER, 2, lst, numeric_date(now()), numeric_date(now()) + 300)
}

/// The header and the claims of `token`, once a gateway that knows the published key has verified it.
fn read(jwt: &Jwt, token: &str) -> (Value, StatusListClaims) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let parts: Vec<_> = signed.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let header: Value = serde_json::from_slice(&parts[0]).unwrap();
    let set = jwt.keyring.current();
    let (algorithm, key) = set.find(header["kid"].as_str().unwrap(), now()).unwrap().verification();
    assert!(crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap());
    (header, serde_json::from_slice(&parts[1]).unwrap())
}

#[test]
fn a_status_list_is_no_access_token() {
    let jwt = jwt();
    let token = jwt.sign_status_list(&list(String::new()), now()).unwrap();
    assert_eq!(jwt.verify(ANY, &token, now()), Err(TokenError::WrongKind));
    assert_eq!(jwt.verify(RefreshToken, &token, now()), Err(TokenError::WrongKind));
    // Nor are an access token's claims good under this type.
    let posed = signed(&jwt, &header(&jwt, "statuslist+jwt"), &serde_json::to_string(&access()).unwrap());
    assert_eq!(refusal(&posed), TokenError::WrongKind);
}

#[test]
fn a_status_list_is_signed_like_an_access_token_under_its_own_type() {
    for algorithm in SigningAlgorithm::ALL {
        let jwt = opened(folder(), algorithm);
        let token = jwt.sign_status_list(&list(status_list::encode(vec![1 << 7])), now()).unwrap();
        let (header, claims) = read(&jwt, &token);
        let kid = jwt.keyring.current().active(algorithm, now()).unwrap().kid().to_owned();
        assert_eq!(header, json!({"typ": "statuslist+jwt", "alg": algorithm.as_str(), "kid": kid}));
        assert_eq!(claims, list(status_list::encode(vec![1 << 7])));
        assert_eq!(claims.sub, access().user.unwrap().status.unwrap().status_list.uri);
    }
}

#[test]
fn a_status_list_may_be_longer_than_any_header_field() {
    let long = list("A".repeat(174_827));
    let token = jwt().sign_status_list(&long, now()).unwrap();
    assert!(token.len() > jws::MAX_LENGTH, "{}", token.len());
    assert_eq!(read(&jwt(), &token).1, long);
}

#[test]
fn without_a_key_no_status_list_is_signed() {
    let empty = opened(Path::new("no such folder"), SigningAlgorithm::ES256);
    assert_eq!(empty.sign_status_list(&list(String::new()), now()), Err(SignError::NoKey(ES256)));
}
