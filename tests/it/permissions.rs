//! `jetway permissions`: a server with what it prints, where each user tries every right and every refusal.

mod command;
mod deployment;
mod host;
mod operator;
mod refusals;
mod starter;
mod strangers;

use crate::support::{DEADLINE, HostProcess, jetway};
use anyhow::{Context, Result, ensure};
use async_nats::{Client, ConnectOptions};
use jetway::{
    NatsConfig,
    nats::{NatsAuth, Secret},
};
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use nkeys::KeyPair;
use std::{collections::BTreeMap, fs};

/// How the users log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logins {
    Passwords,
    Nkeys,
}

const ROLES: [&str; 3] = ["starter", "worker", "operator"];

/// A server that enforces what the command has printed.
struct Enforced {
    server: NatsServer,
    namespace: String,
    logins: Logins,
    /// The password or the seed of each role.
    secrets: BTreeMap<&'static str, String>,
}

impl Enforced {
    /// Starts it with the output of `jetway permissions starter worker operator` and these arguments.
    async fn start(logins: Logins, arguments: &[&str]) -> Result<Self> {
        let namespace = unique_namespace("allowed");
        let (mut secrets, mut users) = (BTreeMap::new(), String::new());
        for role in ROLES {
            let pair = KeyPair::new_user();
            let (secret, line) = match logins {
                Logins::Passwords => {
                    (format!("secret-of-{role}"), format!("{role} {role} secret-of-{role}\n"))
                }
                Logins::Nkeys => (pair.seed()?, format!("{role} {}\n", pair.public_key())),
            };
            users.push_str(&line);
            secrets.insert(role, secret);
        }
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("users");
        fs::write(&file, users)?;
        let mut command = jetway(&["permissions", "--namespace", &namespace, "--users"]);
        let output = command.arg(&file).args(ROLES).args(arguments).output().await?;
        let printed = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for secret in secrets.values() {
            assert!(!printed.contains(secret.as_str()), "{printed}");
        }
        // JSON is a configuration too, without its outer braces: the file of the harness has other settings.
        let printed = printed.trim();
        let printed = printed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(printed);
        let server = NatsServer::builder().extra_config(printed).start().await?;
        Ok(Self { server, namespace, logins, secrets })
    }

    fn secret(&self, role: &str) -> Result<&String> {
        self.secrets.get(role).with_context(|| format!("no user {role}"))
    }

    async fn client(&self, role: &str) -> Result<Client> {
        let secret = self.secret(role)?.clone();
        let options = match self.logins {
            Logins::Passwords => ConnectOptions::with_user_and_password(role.to_owned(), secret),
            Logins::Nkeys => ConnectOptions::with_nkey(secret),
        };
        Ok(options.connect(self.server.url()).await?)
    }

    fn config(&self, role: &str) -> Result<NatsConfig> {
        let secret = self.secret(role)?.as_str();
        let auth = match self.logins {
            Logins::Passwords => NatsAuth::password(role, secret),
            Logins::Nkeys => NatsAuth::NKey(Secret::from(secret)),
        };
        Ok(NatsConfig::new(self.server.url()).in_namespace(self.namespace.parse()?).with_auth(auth))
    }

    fn environment(&self, role: &'static str) -> Result<Vec<(&'static str, &str)>> {
        let secret = self.secret(role)?.as_str();
        Ok(match self.logins {
            Logins::Passwords => vec![("NATS_USER", role), ("NATS_PASSWORD", secret)],
            Logins::Nkeys => vec![("NATS_NKEY", secret)],
        })
    }

    /// `jetway host` as the worker.
    async fn host(&self) -> Result<HostProcess> {
        HostProcess::start(&self.server.url(), &self.namespace, &self.environment("worker")?).await
    }

    /// What the server has refused so far.
    fn violations(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.server.log_path())?;
        Ok(log.lines().filter(|line| line.contains("Violation")).map(ToOwned::to_owned).collect())
    }

    fn refused_nothing(&self) -> Result<()> {
        let violations = self.violations()?;
        ensure!(violations.is_empty(), "the server refused: {violations:#?}");
        Ok(())
    }

    /// Waits until the server has refused a publish or a subscription.
    async fn refuses(&self, action: &str, subject: &str) {
        let said = format!("{action} Violation");
        let quoted = format!("Subject \"{subject}\"");
        wait_until(&format!("the server refuses {action} {subject}"), DEADLINE, async || {
            let violations = self.violations().unwrap_or_default();
            violations.iter().any(|line| line.contains(&said) && line.contains(&quoted))
        })
        .await;
    }

    /// A subject of the namespace.
    fn subject(&self, rest: &str) -> String {
        format!("jetway.{}.{rest}", self.namespace)
    }
}
