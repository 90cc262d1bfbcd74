//! A server that trusts an operator: accounts and users are JWTs.

use data_encoding::BASE64URL_NOPAD;
use jetway_testing::NatsServer;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// A server with one account for tests.
pub(super) struct OperatorServer {
    pub(super) server: NatsServer,
    account: KeyPair,
}

/// A user: its JWT and its seed.
pub(super) struct User {
    pub(super) jwt: String,
    pub(super) seed: String,
}

impl OperatorServer {
    pub(super) async fn start() -> Self {
        let (operator, system, account) =
            (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        let claims = json!({ "type": "operator", "version": 2, "system_account": system.public_key() });
        let operator_jwt = jwt(&operator, &operator.public_key(), "operator", &claims);
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let of_account = |account: &KeyPair, limits: &Value| {
            jwt(
                &operator,
                &account.public_key(),
                "account",
                &json!({ "type": "account", "version": 2, "limits": limits }),
            )
        };
        let without_store = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        });
        let config = format!(
            "operator: {operator_jwt}\nsystem_account: {system_id}\nresolver: MEMORY\n\
             resolver_preload: {{ {system_id}: {system_jwt}, {account_id}: {account_jwt} }}",
            system_id = system.public_key(),
            system_jwt = of_account(&system, &without_store),
            account_id = account.public_key(),
            account_jwt = of_account(&account, &limits),
        );
        let server = NatsServer::builder().extra_config(&config).start().await.unwrap();
        Self { server, account }
    }

    /// A new user. A bearer proves nothing but that it has the JWT.
    pub(super) fn user(&self, bearer: bool) -> User {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "bearer_token": bearer,
        });
        User { jwt: jwt(&self.account, &user.public_key(), "user", &claims), seed: user.seed().unwrap() }
    }
}

fn jwt(issuer: &KeyPair, subject: &str, name: &str, claims: &Value) -> String {
    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let header = encoded(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let body = encoded(&json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject, "name": name, "nats": claims,
    }));
    let signed = format!("{header}.{body}");
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}
