//! The accounts, users and permissions of a namespace, as a part of the configuration of a NATS server.
//!
//! Starters have an account of their own, which imports the subjects for starts, requests and results from the account of the
//! hosts. Inside one account, a client may name any reply subject, and the server itself publishes there: permissions cannot
//! prevent that. A reply subject that a starter names is one of its own account.

mod render;

use crate::names::{Names, ReplyPrefixes, Rights, Role, Scope};
use jetway_engine::backend::BackendError;
use jetway_state::{Namespace, WorkflowName};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// The account of hosts and operators, if no other one is named.
pub const DEFAULT_ACCOUNT: &str = "JETWAY";

/// Which permissions are wanted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PermissionSettings {
    /// The namespace.
    pub namespace: Namespace,
    /// The account of hosts and operators. The account of the starters has this name and `_STARTER`.
    pub account: String,
    /// The workflows that starters start, and whose work hosts take; empty for all.
    pub workflows: Vec<WorkflowName>,
    /// Prefixes of inboxes, besides `_INBOX`.
    pub inbox_prefixes: Vec<String>,
    /// The users.
    pub users: Vec<ServerUser>,
}

impl PermissionSettings {
    /// All workflows of a namespace, without users.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            account: DEFAULT_ACCOUNT.to_owned(),
            workflows: Vec::new(),
            inbox_prefixes: Vec::new(),
            users: Vec::new(),
        }
    }
}

/// A user of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUser {
    /// What it may do.
    pub role: Role,
    /// How it logs in.
    pub login: UserLogin,
}

/// How a user of the server logs in, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserLogin {
    /// With an nkey: its public key, which begins with `U`.
    Nkey(String),
    /// With a password.
    Password {
        /// The name of the user.
        user: String,
        /// The bcrypt hash of the password.
        hash: String,
    },
    /// With a password that the server reads from its environment when it reads its configuration.
    ServerVariable {
        /// The name of the user.
        user: String,
        /// The name of the variable. Its value is the password or its bcrypt hash.
        variable: String,
    },
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// A text cannot be in the configuration.
    #[error("invalid {what} {text:?}: use visible ASCII characters without quotation marks and backslashes")]
    BadText {
        /// What it is.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// The name of an account or of a variable is invalid.
    #[error("invalid {what} {text:?}: use letters, digits, `_` and `-`")]
    BadName {
        /// What it is.
        what: &'static str,
        /// The name.
        text: String,
    },
    /// Two users have one name.
    #[error("there are several users {0:?}: give each its own name or key")]
    SameUser(String),
    /// A prefix of inboxes is invalid.
    #[error(transparent)]
    Inbox(#[from] BackendError),
}

/// The accounts, users and permissions of a namespace. `Display` writes them as a configuration that can stand at the top
/// level of a server's file. As JSON, they are such a configuration too.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jetway_nats::{PermissionSettings, Permissions, Role, ServerUser, UserLogin};
///
/// let mut settings = PermissionSettings::new("default".parse()?);
/// settings.workflows = vec!["chain".parse()?];
/// let variable = |user: &str| UserLogin::ServerVariable { user: user.to_owned(), variable: user.to_uppercase() };
/// settings.users = [Role::Starter, Role::Worker].map(|role| ServerUser { role, login: variable(role.name()) }).to_vec();
/// let configuration = Permissions::new(&settings)?.to_string();
/// assert!(configuration.contains(r#"service: {account: "JETWAY", subject: "jetway.default.start.chain"}"#));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Permissions {
    accounts: BTreeMap<String, Account>,
}

#[derive(Debug, Clone, Serialize)]
struct Account {
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Shared<Imported>>,
    users: Vec<User>,
}

/// A subject that an account shares: requests to it, or messages from it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum Shared<T> {
    Service(T),
    Stream(T),
}

#[derive(Debug, Clone, Serialize)]
struct Export {
    #[serde(flatten)]
    shared: Shared<String>,
    /// Those that may import it.
    accounts: [String; 1],
}

#[derive(Debug, Clone, Serialize)]
struct Imported {
    account: String,
    subject: String,
}

#[derive(Debug, Clone, Serialize)]
struct User {
    #[serde(skip)]
    role: Role,
    #[serde(flatten)]
    login: Login,
    permissions: UserPermissions,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Login {
    Nkey { nkey: String },
    Password { user: String, password: Password },
}

/// A password in the configuration.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Password {
    Hash(String),
    /// JSON has no variables, but the server reads an unquoted text with a dollar sign as one.
    Variable(String),
}

#[derive(Debug, Clone, Serialize)]
struct UserPermissions {
    publish: Allowed,
    subscribe: Allowed,
}

#[derive(Debug, Clone, Serialize)]
struct Allowed {
    allow: Vec<String>,
}

impl Permissions {
    /// The configuration for these users.
    ///
    /// # Errors
    /// A name or a key is invalid, or two users have the same one.
    pub fn new(settings: &PermissionSettings) -> Result<Self, PermissionError> {
        check(settings)?;
        let names = Names::new(settings.namespace.clone());
        let workflows = settings.workflows.iter().map(ToString::to_string).collect();
        let scope = Scope::new(workflows, &settings.inbox_prefixes);
        let (engine, starter) = (settings.account.clone(), format!("{}_STARTER", settings.account));
        let (starters, others): (Vec<_>, Vec<_>) =
            settings.users.iter().partition(|user| user.role == Role::Starter);
        let users =
            |users: Vec<&ServerUser>| users.into_iter().map(|user| User::new(user, &names, &scope)).collect();
        let shared = match starters.is_empty() {
            true => Rights::default(),
            false => names.rights_on_subjects(Role::Starter, &scope),
        };
        let exported = |shared| Export { shared, accounts: [starter.clone()] };
        let imported = |subject: &String| Imported { account: engine.clone(), subject: subject.clone() };
        let exports = shared.publish.iter().cloned().map(Shared::Service);
        let exports =
            exports.chain(shared.subscribe.iter().cloned().map(Shared::Stream)).map(exported).collect();
        let imports = shared.publish.iter().map(imported).map(Shared::Service);
        let imports: Vec<_> =
            imports.chain(shared.subscribe.iter().map(imported).map(Shared::Stream)).collect();
        let account =
            Account { jetstream: Some("enabled"), exports, imports: Vec::new(), users: users(others) };
        let mut accounts = BTreeMap::from([(engine.clone(), account)]);
        if !starters.is_empty() {
            // It has no JetStream: a starter needs none.
            let account = Account { jetstream: None, exports: Vec::new(), imports, users: users(starters) };
            accounts.insert(starter, account);
        }
        Ok(Self { accounts })
    }
}

impl User {
    fn new(user: &ServerUser, names: &Names, scope: &Scope) -> Self {
        let Rights { publish, subscribe } = names.rights(user.role, scope);
        let allowed =
            |subjects: std::collections::BTreeSet<String>| Allowed { allow: subjects.into_iter().collect() };
        let login = match user.login.clone() {
            UserLogin::Nkey(nkey) => Login::Nkey { nkey },
            UserLogin::Password { user, hash } => Login::Password { user, password: Password::Hash(hash) },
            UserLogin::ServerVariable { user, variable } => {
                Login::Password { user, password: Password::Variable(format!("${variable}")) }
            }
        };
        let permissions = UserPermissions { publish: allowed(publish), subscribe: allowed(subscribe) };
        Self { role: user.role, login, permissions }
    }
}

fn check(settings: &PermissionSettings) -> Result<(), PermissionError> {
    ReplyPrefixes::new(crate::names::INBOX, &settings.inbox_prefixes)?;
    name("account", &settings.account)?;
    let mut known = std::collections::BTreeSet::new();
    for user in &settings.users {
        let id = match &user.login {
            UserLogin::Nkey(nkey) => text("nkey", nkey)?,
            UserLogin::Password { user, hash } => {
                text("hash", hash)?;
                text("user", user)?
            }
            UserLogin::ServerVariable { user, variable } => {
                name("variable", variable)?;
                text("user", user)?
            }
        };
        if !known.insert(id) {
            return Err(PermissionError::SameUser(id.to_owned()));
        }
    }
    Ok(())
}

/// The server knows other escapes in a text than JSON does, so there is nothing to escape.
fn text<'a>(what: &'static str, text: &'a str) -> Result<&'a str, PermissionError> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\');
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text);
    }
    Err(PermissionError::BadText { what, text: text.to_owned() })
}

fn name<'a>(what: &'static str, text: &'a str) -> Result<&'a str, PermissionError> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_of_a_name) {
        return Ok(text);
    }
    Err(PermissionError::BadName { what, text: text.to_owned() })
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::write(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(role: Role, name: &str) -> ServerUser {
        let login = UserLogin::Password { user: name.to_owned(), hash: "$2a$11$x".to_owned() };
        ServerUser { role, login }
    }

    fn settings(users: Vec<ServerUser>) -> PermissionSettings {
        PermissionSettings { users, ..PermissionSettings::new(Namespace::new("ns").unwrap()) }
    }

    #[test]
    fn p13_starters_have_an_account_without_jetstream() {
        let users = vec![user(Role::Starter, "s"), user(Role::Worker, "w")];
        let json = serde_json::to_value(Permissions::new(&settings(users)).unwrap()).unwrap();
        let (engine, starter) = (&json["accounts"]["JETWAY"], &json["accounts"]["JETWAY_STARTER"]);
        assert_eq!(engine["jetstream"], "enabled");
        assert!(starter["jetstream"].is_null(), "{starter}");
        assert_eq!(engine["users"][0]["user"], "w");
        assert_eq!(starter["users"][0]["user"], "s");
        let exports = engine["exports"].as_array().unwrap();
        let starts = exports.iter().find(|export| export["service"] == "jetway.ns.start.*").unwrap();
        assert_eq!(starts["accounts"][0], "JETWAY_STARTER");
        let imports = starter["imports"].as_array().unwrap();
        assert!(
            imports.iter().any(|import| import["stream"]["subject"] == "jetway.ns.done.*.>"),
            "{starter}"
        );
    }

    #[test]
    fn without_starters_nothing_is_exported() {
        let permissions = Permissions::new(&settings(vec![user(Role::Worker, "w")])).unwrap();
        assert_eq!(permissions.accounts.len(), 1);
        assert!(!permissions.to_string().contains("exports"));
    }

    #[test]
    fn what_could_change_the_configuration_is_refused() {
        for bad in ["", "a b", "a\"b", "a\\b", "a\nb", "ä"] {
            assert!(Permissions::new(&settings(vec![user(Role::Worker, bad)])).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a{", "$a", "1a"] {
            let settings = PermissionSettings { account: bad.to_owned(), ..settings(Vec::new()) };
            assert!(Permissions::new(&settings).is_err(), "{bad:?}");
        }
        let twice = settings(vec![user(Role::Worker, "a"), user(Role::Starter, "a")]);
        let refused = Permissions::new(&twice).unwrap_err().to_string();
        assert!(refused.contains("several users \"a\""), "{refused}");
        let reserved =
            PermissionSettings { inbox_prefixes: vec!["jetway".to_owned()], ..settings(Vec::new()) };
        assert!(Permissions::new(&reserved).is_err());
    }

    #[test]
    fn a_variable_is_not_quoted() {
        let login = UserLogin::ServerVariable { user: "w".to_owned(), variable: "PASSWORD".to_owned() };
        let users = vec![ServerUser { role: Role::Worker, login }];
        let text = Permissions::new(&settings(users)).unwrap().to_string();
        assert!(text.contains("user: \"w\", password: $PASSWORD"), "{text}");
    }
}
