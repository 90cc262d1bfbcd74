//! The options of the client library that follow from the settings.

use super::{connect::REPLY_WITHIN, connect_failure::ConnectProblem, events::ConnectionEvents};
use crate::{
    config::{NatsAuth, NatsConfig, NatsTls, Secret, is_seed},
    names::DEFAULT_API_PREFIX,
};
use async_nats::ConnectOptions;
use jetway_engine::backend::BackendError;
use std::{io, path::Path, time::Duration};

/// How many commands may wait for the socket. It is larger than the number of writes in flight.
const COMMAND_QUEUE: usize = 16_384;
/// The client library gives a connection up at the ping after two that had no reply.
const PINGS_UNTIL_LOST: u32 = 3;
/// The shortest interval of pings.
const SHORTEST_PING_INTERVAL: Duration = Duration::from_millis(100);

/// What a file in the format PEM should hold.
#[derive(Clone, Copy)]
struct Pem {
    name: &'static str,
    /// A part of the line before it.
    mark: &'static str,
}

const CERTIFICATE: Pem = Pem { name: "certificate", mark: "-----BEGIN CERTIFICATE-----" };
const KEY: Pem = Pem { name: "private key", mark: "PRIVATE KEY-----" };

/// The options for a connection, with its login.
///
/// # Errors
/// `Misconfigured` if a file cannot be read, or has other content.
pub(super) async fn options(
    config: &NatsConfig,
    events: &ConnectionEvents,
) -> Result<ConnectOptions, BackendError> {
    let (events, delays) = (events.clone(), events.clone());
    let options = ConnectOptions::new()
        .name(&config.name)
        .custom_inbox_prefix(&config.inbox_prefix)
        .ping_interval((config.lost_after / PINGS_UNTIL_LOST).max(SHORTEST_PING_INTERVAL))
        .connection_timeout(config.connect_within)
        .request_timeout(Some(REPLY_WITHIN))
        .client_capacity(COMMAND_QUEUE)
        .reconnect_delay_callback(move |attempt| reconnect_delay(attempt, delays.was_connected()))
        .event_callback(move |event| {
            let events = events.clone();
            async move { events.handle(&event) }
        });
    with_login(with_tls(options, &config.tls).await?, config.login()).await
}

async fn with_tls(mut options: ConnectOptions, tls: &NatsTls) -> Result<ConnectOptions, BackendError> {
    options = options.require_tls(tls.required || tls.first);
    if tls.first {
        options = options.tls_first();
    }
    if let Some(path) = &tls.authorities {
        pem_file("CA file", path, CERTIFICATE).await?;
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &tls.certificate {
        pem_file("client certificate", certificate, CERTIFICATE).await?;
        pem_file("client key", key, KEY).await?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

async fn with_login(options: ConnectOptions, auth: &NatsAuth) -> Result<ConnectOptions, BackendError> {
    match auth {
        NatsAuth::None => Ok(options),
        NatsAuth::Token(token) => Ok(options.token(token.expose().to_owned())),
        NatsAuth::Password { user, password } => {
            Ok(options.user_and_password(user.clone(), password.expose().to_owned()))
        }
        NatsAuth::NKey(seed) => with_nkey(options, "the nkey", seed.expose()),
        NatsAuth::NKeyFile(path) => with_nkey(
            options,
            &format!("the nkey file {}", Secret::path_to_show(path)),
            &text("nkey file", path).await?,
        ),
        NatsAuth::CredentialsFile(path) => {
            let what = format!("the credentials file {}", Secret::path_to_show(path));
            let text = text("credentials file", path).await?;
            with_credentials(options, &what, &text)
        }
        NatsAuth::Credentials(text) => with_credentials(options, "the credentials", text.expose()),
        NatsAuth::Jwt { jwt, seed: Some(seed) } => {
            with_credentials(options, "the user JWT", &credentials_text(jwt, seed))
        }
        // A bearer token: the server asks for no signature.
        NatsAuth::Jwt { jwt, seed: None } => {
            Ok(options.jwt(jwt.expose().to_owned(), |_nonce| async { Ok(Vec::new()) }))
        }
    }
}

/// The text of a `.creds` file.
fn credentials_text(jwt: &Secret, seed: &Secret) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        jwt.expose().trim(),
        seed.expose().trim()
    )
}

fn with_credentials(options: ConnectOptions, what: &str, text: &str) -> Result<ConnectOptions, BackendError> {
    // The library's error may quote the text.
    options.credentials(text).map_err(|_error| {
        ConnectProblem::BadLogin
            .error(format!("cannot use {what}: it does not hold a user JWT and the seed of its nkey"))
    })
}

/// `text` is a seed, with or without the frame of a `.creds` file.
fn with_nkey(options: ConnectOptions, what: &str, text: &str) -> Result<ConnectOptions, BackendError> {
    let bad = |reason: &str| Err(ConnectProblem::BadLogin.error(format!("cannot use {what}: {reason}")));
    match text.lines().map(str::trim).find(|line| is_seed(line)) {
        Some(seed) if !seed.starts_with("SU") => {
            bad("its seed is no user's, since it does not begin with SU: use the seed of a user")
        }
        Some(seed) if nkeys::KeyPair::from_seed(seed).is_err() => {
            bad("its seed has a wrong character: copy it again")
        }
        Some(seed) => Ok(options.nkey(seed.to_owned())),
        None => bad("it does not hold the seed of an nkey, 58 characters that begin with SU"),
    }
}

/// Checks that a file can be read, and that there is this in it. The client library passes over what it does not know.
async fn pem_file(what: &str, path: &Path, content: Pem) -> Result<(), BackendError> {
    let text = tokio::fs::read(path).await.map_err(|error| unreadable(what, path, &error))?;
    let mark = content.mark.as_bytes();
    if text.windows(mark.len()).any(|part| part == mark) {
        return Ok(());
    }
    let (name, path) = (content.name, Secret::path_to_show(path));
    let sentence = format!("cannot use the {what} {path}: there is no {name} in it, in the format PEM");
    Err(ConnectProblem::BadSetting.error(sentence))
}

async fn text(what: &str, path: &Path) -> Result<String, BackendError> {
    tokio::fs::read_to_string(path).await.map_err(|error| unreadable(what, path, &error))
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> BackendError {
    let path = Secret::path_to_show(path);
    ConnectProblem::BadSetting.error(format!("cannot read the {what} {path}: {error}"))
}

/// The prefix of the JetStream API.
///
/// # Errors
/// `Misconfigured` if prefix or domain is invalid.
pub(super) fn api_prefix(config: &NatsConfig) -> Result<String, BackendError> {
    let is_token = |token: &str| {
        !token.is_empty()
            && !token.contains(['*', '>'])
            && !token.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let invalid = |what: &str, value: &str| {
        ConnectProblem::BadSetting.error(format!("invalid {what} {value:?}: it is no subject"))
    };
    match (&config.jetstream_api_prefix, &config.jetstream_domain) {
        (Some(prefix), _) => {
            let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
            match prefix.split('.').all(is_token) {
                true => Ok(prefix.to_owned()),
                false => Err(invalid("JetStream API prefix", prefix)),
            }
        }
        (None, Some(domain)) if is_token(domain) && !domain.contains('.') => Ok(format!("$JS.{domain}.API")),
        (None, Some(domain)) => Err(invalid("JetStream domain", domain)),
        (None, None) => Ok(DEFAULT_API_PREFIX.to_owned()),
    }
}

/// The delay before an attempt to connect: none before the very first one, then 50 ms, 100 ms and so on up to 500 ms. A
/// fifth of it is jitter, so that the hosts do not all reconnect at the same moment after a restart of the server.
///
/// The client library asks for the delay by the number of the attempt, so that an iterator of delays does not fit here.
fn reconnect_delay(attempt: usize, was_connected: bool) -> Duration {
    if !was_connected && attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(4);
    let delay = (50_u64 << doublings).min(500);
    Duration::from_millis(delay - rand::random_range(0..=delay / 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_engine::backend::BackendErrorKind;

    #[test]
    fn the_first_attempt_has_no_delay() {
        assert_eq!(reconnect_delay(1, false), Duration::ZERO);
    }

    #[test]
    fn reconnect_delays_grow_to_half_a_second() {
        for (attempt, longest) in [(1, 50), (2, 100), (3, 200), (4, 400), (5, 500), (1000, 500)] {
            for _ in 0..50 {
                let delay = reconnect_delay(attempt, true).as_millis();
                assert!((longest * 4 / 5..=longest).contains(&delay), "attempt {attempt}: {delay} ms");
            }
        }
    }

    #[test]
    fn f8_the_api_prefix_follows_from_prefix_and_domain() {
        let prefix = |domain: Option<&str>, prefix: Option<&str>| {
            let config = NatsConfig {
                jetstream_domain: domain.map(str::to_owned),
                jetstream_api_prefix: prefix.map(str::to_owned),
                ..NatsConfig::default()
            };
            api_prefix(&config).map_err(|error| error.to_string())
        };
        assert_eq!(prefix(None, None).unwrap(), "$JS.API");
        assert_eq!(prefix(Some("hub"), None).unwrap(), "$JS.hub.API");
        assert_eq!(prefix(Some("hub"), Some("team.js.")).unwrap(), "team.js");
        for (domain, api) in
            [(Some("a.b"), None), (Some(""), None), (None, Some("a..b")), (None, Some("a.>"))]
        {
            assert!(prefix(domain, api).is_err(), "{domain:?} {api:?}");
        }
    }

    #[test]
    fn m5_an_invalid_seed_is_not_shown() {
        for error in [
            with_nkey(ConnectOptions::new(), "the nkey", "hunter2").unwrap_err(),
            with_credentials(ConnectOptions::new(), "the credentials", "hunter2").unwrap_err(),
        ] {
            assert_eq!(error.kind(), BackendErrorKind::Misconfigured);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn m5_a_seed_that_is_no_users_is_said_to_be_none() {
        let error = |seed: &str| with_nkey(ConnectOptions::new(), "the nkey", seed).unwrap_err().to_string();
        let account = nkeys::KeyPair::new_account().seed().unwrap();
        assert!(error(&account).contains("its seed is no user's"), "{}", error(&account));
        let user = nkeys::KeyPair::new_user().seed().unwrap();
        let other = if user.ends_with('A') { "B" } else { "A" };
        let wrong = format!("{}{other}", &user[..57]);
        assert!(error(&wrong).contains("wrong character"), "{}", error(&wrong));
    }

    #[tokio::test]
    async fn m5_a_secret_in_the_place_of_a_file_is_not_shown() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        for auth in [NatsAuth::NKeyFile(seed.clone().into()), NatsAuth::CredentialsFile(seed.clone().into())]
        {
            let error = with_login(ConnectOptions::new(), &auth).await.unwrap_err();
            assert!(!format!("{error} {error:?} {auth:?}").contains(&seed), "{error:?} {auth:?}");
        }
    }
}
