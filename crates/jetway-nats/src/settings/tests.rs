//! Which setting wins, and what is refused.

use super::*;
use std::fs;

/// A directory with contexts, and variables.
struct Machine {
    directory: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Machine {
    fn new(contexts: &[(&str, serde_json::Value)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("nats/context")).unwrap();
        for (name, context) in contexts {
            fs::write(directory.path().join(format!("nats/context/{name}.json")), context.to_string())
                .unwrap();
        }
        let home = directory.path().display().to_string();
        Self { variables: vec![("XDG_CONFIG_HOME", home.clone()), ("HOME", home)], directory }
    }

    fn select(self, name: &str) -> Self {
        fs::write(self.directory.path().join("nats/context.txt"), format!("{name}\n")).unwrap();
        self
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn config(&self, flags: ConnectionSettings) -> Result<NatsConfig, String> {
        let variable = |name: &str| {
            let found = self.variables.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        flags.config_from(variable, true).map_err(|error| error.to_string())
    }

    fn error(&self, flags: ConnectionSettings) -> String {
        self.config(flags).unwrap_err()
    }
}

fn flags() -> ConnectionSettings {
    ConnectionSettings::default()
}

fn servers(text: &str) -> ConnectionSettings {
    ConnectionSettings { servers: Some(ServerList::from(text)), ..flags() }
}

#[test]
fn f8_flags_win_over_the_environment_and_that_over_a_context() {
    let context = serde_json::json!({
        "url": "nats://c", "user": "c", "password": "hunter2", "ca": "~/ca.pem", "cert": "/c.pem", "key": "/c.key",
        "jetstream_domain": "c", "jetstream_api_prefix": "c.js", "inbox_prefix": "_INBOX_c", "tls_first": true,
        "description": "more", "color_scheme": "none", "jetstream_event_prefix": "c.ev",
    });
    let machine = Machine::new(&[("prod", context)]).with("NATS_CONTEXT", "prod");
    let config = machine.config(flags()).unwrap();
    assert_eq!(config.servers.to_string(), "nats://c:4222");
    assert_eq!(config.auth, NatsAuth::password("c", "hunter2"));
    assert_eq!(config.tls.authorities, Some(machine.directory.path().join("ca.pem")));
    assert_eq!(config.tls.certificate, Some(("/c.pem".into(), "/c.key".into())));
    assert!(config.tls.first);
    assert_eq!(config.jetstream_domain.as_deref(), Some("c"));
    assert_eq!(config.jetstream_api_prefix.as_deref(), Some("c.js"));
    assert_eq!(config.inbox_prefix, "_INBOX_c");

    let machine = machine.with("NATS_URL", "tls://e").with("NATS_TOKEN", "e").with("NATS_TLS_FIRST", "false");
    let config = machine.config(flags()).unwrap();
    assert_eq!((config.servers.to_string().as_str(), &config.auth), ("tls://e:4222", &NatsAuth::token("e")));
    assert!(!config.tls.first);
    assert_eq!(config.inbox_prefix, "_INBOX_c");

    let creds = ConnectionSettings { creds: Some("/f.creds".into()), ..servers("nats://f") };
    let config = machine.config(creds).unwrap();
    assert_eq!(config.servers.to_string(), "nats://f:4222");
    assert_eq!(config.auth, NatsAuth::CredentialsFile("/f.creds".into()));
}

#[test]
fn f8_every_login_is_known() {
    let seed = format!("SU{}", "A".repeat(56));
    for (variables, expected) in [
        (&[("NATS_USER", "u"), ("NATS_PASSWORD", "p")][..], NatsAuth::password("u", "p")),
        (&[("NATS_USER", "u")], NatsAuth::token("u")),
        (&[("NATS_TOKEN", "t")], NatsAuth::token("t")),
        (&[("NATS_NKEY", seed.as_str())], NatsAuth::NKey(seed.as_str().into())),
        (&[("NATS_NKEY", "/a.nk")], NatsAuth::NKeyFile("/a.nk".into())),
        (&[("NATS_CREDS", "/a.creds")], NatsAuth::CredentialsFile("/a.creds".into())),
        (&[("NATS_URL", "nats://u:p@a"), ("NATS_TOKEN", "")], NatsAuth::password("u", "p")),
    ] {
        let machine =
            variables.iter().fold(Machine::new(&[]), |machine, (name, value)| machine.with(name, value));
        assert_eq!(machine.config(flags()).unwrap().auth, expected, "{variables:?}");
    }
    for (context, expected) in [
        (serde_json::json!({ "user": "u", "password": "" }), NatsAuth::password("u", "")),
        (serde_json::json!({ "token": "t" }), NatsAuth::token("t")),
        (serde_json::json!({ "nkey": "/a.nk" }), NatsAuth::NKeyFile("/a.nk".into())),
        (serde_json::json!({ "creds": "file:///a.creds" }), NatsAuth::CredentialsFile("/a.creds".into())),
        (serde_json::json!({ "user_jwt": "j" }), NatsAuth::Jwt { jwt: "j".into(), seed: None }),
        (
            serde_json::json!({ "user_jwt": "j", "user_seed": "s" }),
            NatsAuth::Jwt { jwt: "j".into(), seed: Some("s".into()) },
        ),
        (serde_json::json!({ "url": "nats://u:p@a" }), NatsAuth::password("u", "p")),
    ] {
        let machine = Machine::new(&[("one", context.clone())]);
        let named = ConnectionSettings { context: Some("one".to_owned()), ..flags() };
        assert_eq!(machine.config(named).unwrap().auth, expected, "{context}");
    }
}

#[test]
fn f8_a_selected_context_keeps_its_login_for_its_servers() {
    let context = serde_json::json!({ "url": "nats://c", "token": "hunter2" });
    let machine = Machine::new(&[("prod", context)]).select("prod");
    assert_eq!(machine.config(flags()).unwrap().auth, NatsAuth::token("hunter2"));
    assert_eq!(machine.config(servers("nats://other")).unwrap().auth, NatsAuth::None);
    let named = ConnectionSettings { context: Some("prod".to_owned()), ..servers("nats://other") };
    assert_eq!(machine.config(named).unwrap().auth, NatsAuth::token("hunter2"));
    assert!(machine.select("gone").error(flags()).contains("no context \"gone\""));
}

#[test]
fn f8_what_cannot_be_used_is_said() {
    let contexts = [
        ("proxy", serde_json::json!({ "socks_proxy": "socks5://hunter2@a" })),
        ("nsc", serde_json::json!({ "nsc": "nsc://o/a/u" })),
        ("vault", serde_json::json!({ "creds": "op://hunter2" })),
        ("both", serde_json::json!({ "user": "u", "password": "hunter2", "creds": "/a" })),
        ("type", serde_json::json!({ "password": ["hunter2"] })),
        ("bad", serde_json::json!({ "url": "http://u:hunter2@a" })),
    ];
    let machine = Machine::new(&contexts);
    for (name, said) in [
        ("proxy", "socks_proxy is not supported"),
        ("nsc", "nsc is not supported"),
        ("vault", "creds is not supported"),
        ("both", "user and creds are several logins"),
        ("type", "wrong JSON at line 1"),
        ("bad", "neither nats nor tls"),
        ("gone", "there is no context \"gone\""),
        ("../both", "invalid name"),
        ("/no/such/file.json", "does not exist"),
    ] {
        let named = ConnectionSettings { context: Some(name.to_owned()), ..flags() };
        let error = machine.error(named);
        assert!(error.contains(said) && !error.contains("hunter2"), "{name}: {error}");
    }
    for (name, value, said) in [
        ("NATS_PASSWORD", "hunter2", "a password is given without a user"),
        ("NATS_CERT", "/c", "without its key"),
        ("NATS_KEY", "/k", "without the certificate"),
        ("NATS_TLS_FIRST", "hunter2", "NATS_TLS_FIRST is neither true nor false"),
        ("NATS_URL", "nats://u:hunter2@a:b", "the environment: entry 1 of 1"),
    ] {
        let error = Machine::new(&[]).with(name, value).error(flags());
        assert!(error.contains(said) && !error.contains("hunter2"), "{name}: {error}");
    }
}

#[test]
fn without_settings_the_server_is_local() {
    let config = Machine::new(&[]).with("NATS_URL", "").config(flags()).unwrap();
    assert_eq!(
        (config.servers.to_string().as_str(), &config.auth),
        ("nats://127.0.0.1:4222", &NatsAuth::None)
    );
}

/// A seed that nobody uses.
fn seed() -> String {
    nkeys::KeyPair::new_user().seed().unwrap()
}

#[test]
fn f8_a_login_is_taken_with_white_space_and_quotes_around_it() {
    let seed = seed();
    let creds = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n");
    for around in ["{}\n", " {} ", "\"{}\"", "'{}'\r\n"] {
        let value = |text: &str| around.replace("{}", text);
        let machine = Machine::new(&[]).with("NATS_NKEY", &value(&seed));
        assert_eq!(machine.config(flags()).unwrap().auth, NatsAuth::NKey(seed.as_str().into()), "{around:?}");
        let machine = Machine::new(&[]).with("NATS_NKEY", &value("/a.nk"));
        assert_eq!(machine.config(flags()).unwrap().auth, NatsAuth::NKeyFile("/a.nk".into()), "{around:?}");
        let machine = Machine::new(&[]).with("NATS_CREDS", &value(&creds));
        let auth = machine.config(flags()).unwrap().auth;
        assert_eq!(auth, NatsAuth::Credentials(creds.trim().into()), "{around:?}");
    }
}

#[test]
fn m5_what_is_neither_a_file_nor_a_login_is_not_shown() {
    let seed = seed();
    let pem = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
    let cut = &seed[..57];
    for (name, value) in [
        ("NATS_NKEY", cut.to_owned()),
        ("NATS_NKEY", seed.to_ascii_lowercase()),
        ("NATS_NKEY", format!("/keys/{cut}")),
        ("NATS_NKEY", pem.to_owned()),
        ("NATS_CREDS", seed.clone()),
        ("NATS_CREDS", format!("-----BEGIN NATS USER JWT-----\n{cut}")),
        ("NATS_CREDS", format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.{cut}")),
        ("NATS_KEY", pem.to_owned()),
        ("NATS_CERT", pem.to_owned()),
        ("NATS_CA", pem.to_owned()),
        ("NATS_CONTEXT", seed.clone()),
        ("NATS_CONTEXT", format!("/{seed}")),
    ] {
        let error = Machine::new(&[]).with(name, &value).error(flags());
        let expected =
            if name == "NATS_CONTEXT" { "invalid name of a context" } else { "is neither a file nor" };
        assert!(error.contains(expected), "{name}: {error}");
        let shown = error.to_ascii_uppercase();
        assert!(!shown.contains(&cut[5..20]) && !shown.contains("HUNTER2"), "{name}: {error}");
    }
}

#[test]
fn m5_a_file_whose_name_looks_like_a_secret_is_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(seed());
    fs::write(&path, "x").unwrap();
    let machine = Machine::new(&[]).with("NATS_NKEY", &path.display().to_string());
    assert_eq!(machine.config(flags()).unwrap().auth, NatsAuth::NKeyFile(path));
}
