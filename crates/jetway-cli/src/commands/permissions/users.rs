//! The users of `jetway permissions`: from a file, or from the environment.

use anyhow::Context;
use bcrypt::Version;
use jetway::nats::{Role, Secret, ServerUser, UserLogin};
use nkeys::{KeyPair, KeyPairType};
use std::{env, fs, io, path::Path};
use thiserror::Error;

/// The cost of a hash, as of `nats server passwd`.
const COST: u32 = 11;
/// The algorithm does not look at more bytes.
const LONGEST_PASSWORD: usize = 72;

/// The users cannot be used. No message has a password.
#[derive(Debug, Error)]
pub(super) enum BadUsers {
    #[error("cannot read the users in {file}: {error}")]
    Unreadable { file: String, error: io::Error },
    #[error(
        "line {line} of the users is no user: write `worker NAME PASSWORD`, or `worker KEY` with the public key of an nkey"
    )]
    Line { line: usize },
    #[error("line {line} of the users names no role: it begins with starter, worker or operator")]
    Role { line: usize },
    #[error(
        "there is no user for the role {role}: name one in the file of --users, or set {password} or {nkey}"
    )]
    NoUser { role: Role, password: String, nkey: String },
    #[error("{password} and {nkey} are both set: set one of them")]
    TwoLogins { password: String, nkey: String },
    #[error(
        "the nkey of {of} is a seed, which nobody but the user should have: give the public key, which begins with U"
    )]
    Seed { of: String },
    #[error("the nkey of {of} is not the public key of a user: it begins with U and has 56 characters")]
    Key { of: String },
    #[error(
        "the password of {of} has more than {LONGEST_PASSWORD} bytes, which bcrypt does not look at: use a shorter one"
    )]
    LongPassword { of: String },
}

/// The users of a file that have one of these roles. `-` is the standard input.
///
/// # Errors
/// The file cannot be read, a line is invalid, or a role has no user.
pub(super) fn of_file(file: &Path, roles: &[Role]) -> anyhow::Result<Vec<ServerUser>> {
    let text = match file.as_os_str() == "-" {
        true => io::read_to_string(io::stdin()),
        false => fs::read_to_string(file),
    };
    let unreadable = |error| BadUsers::Unreadable { file: Secret::path_to_show(file), error };
    parse(&text.map_err(unreadable)?, roles)
}

fn parse(text: &str, roles: &[Role]) -> anyhow::Result<Vec<ServerUser>> {
    let mut users = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let mut words = text.split_whitespace();
        let role = words.next().and_then(|name| Role::ALL.into_iter().find(|role| role.name() == name));
        let role = role.ok_or(BadUsers::Role { line })?;
        let of = || format!("line {line}");
        let login = match (words.next(), words.next(), words.next()) {
            (Some(key), None, None) => UserLogin::Nkey(public_key(key, of())?),
            (Some(user), Some(password), None) if roles.contains(&role) => {
                with_password(user, password, of())?
            }
            // A hash takes a while, and nobody asks for this one.
            (Some(_), Some(_), None) => continue,
            _ => return Err(BadUsers::Line { line }.into()),
        };
        if roles.contains(&role) {
            users.push(ServerUser { role, login });
        }
    }
    for role in roles {
        if !users.iter().any(|user| user.role == *role) {
            return Err(no_user(*role).into());
        }
    }
    Ok(users)
}

/// A user for each role, whose name is that of the role.
///
/// # Errors
/// A variable is missing or invalid.
pub(super) fn of_env(roles: &[Role]) -> anyhow::Result<Vec<ServerUser>> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let login = |role: Role| -> anyhow::Result<UserLogin> {
        let (password, nkey) = variables(role);
        match (set(&password), set(&nkey)) {
            (Some(_), Some(_)) => Err(BadUsers::TwoLogins { password, nkey }.into()),
            (Some(text), None) => with_password(role.name(), &text, password),
            (None, Some(key)) => Ok(UserLogin::Nkey(public_key(&key, nkey)?)),
            (None, None) => Err(no_user(role).into()),
        }
    };
    roles.iter().map(|role| Ok(ServerUser { role: *role, login: login(*role)? })).collect()
}

/// A user for each role, whose password the server reads from its environment.
pub(super) fn of_server_env(roles: &[Role]) -> Vec<ServerUser> {
    let user = |role: &Role| {
        let login = UserLogin::ServerVariable { user: role.name().to_owned(), variable: variables(*role).0 };
        ServerUser { role: *role, login }
    };
    roles.iter().map(user).collect()
}

/// The variables of a role's password and of its nkey.
fn variables(role: Role) -> (String, String) {
    let role = role.name().to_uppercase();
    (format!("JETWAY_{role}_PASSWORD"), format!("JETWAY_{role}_NKEY"))
}

fn no_user(role: Role) -> BadUsers {
    let (password, nkey) = variables(role);
    BadUsers::NoUser { role, password, nkey }
}

fn public_key(key: &str, of: String) -> Result<String, BadUsers> {
    if KeyPair::from_seed(key).is_ok() {
        return Err(BadUsers::Seed { of });
    }
    match KeyPair::from_public_key(key) {
        Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(key.to_owned()),
        Ok(_) | Err(_) => Err(BadUsers::Key { of }),
    }
}

fn with_password(user: &str, password: &str, of: String) -> anyhow::Result<UserLogin> {
    let hash = if password.parse::<bcrypt::HashParts>().is_ok() {
        password.to_owned()
    } else if password.len() > LONGEST_PASSWORD {
        return Err(BadUsers::LongPassword { of }.into());
    } else {
        // The version of the `nats` command.
        bcrypt::hash_with_result(password, COST)
            .context("cannot hash a password")?
            .format_for_version(Version::TwoA)
    };
    Ok(UserLogin::Password { user: user.to_owned(), hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "UAWHQ7IEVGBZKG5YFNMTPH5B3QNGBWOUVI2GGMWYVDUJ5SQYQHHVOWM7";

    fn key() -> String {
        KeyPair::new_user().public_key()
    }

    #[test]
    fn users_of_a_file_have_hashed_passwords_or_public_keys() {
        let hash = bcrypt::hash_with_result("known", 4).unwrap().format_for_version(Version::TwoA);
        let key = key();
        let text = format!("# users\n\nstarter ann secret-word\nworker {key}\noperator ops {hash}\n");
        let users = parse(&text, &Role::ALL).unwrap();
        let UserLogin::Password { user, hash: hashed } = &users[0].login else { panic!("{users:?}") };
        assert_eq!((users[0].role, user.as_str()), (Role::Starter, "ann"));
        assert!(hashed.starts_with("$2a$11$") && bcrypt::verify("secret-word", hashed).unwrap(), "{hashed}");
        assert_eq!(users[1].login, UserLogin::Nkey(key));
        assert_eq!(users[2].login, UserLogin::Password { user: "ops".to_owned(), hash });
    }

    #[test]
    fn users_of_other_roles_are_left_out() {
        let text = format!("worker {}\nstarter {}\n", key(), key());
        let users = parse(&text, &[Role::Worker]).unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].role, Role::Worker);
    }

    #[test]
    fn a_bad_user_is_said_without_its_secret() {
        let seed = KeyPair::new_user().seed().unwrap();
        let account = KeyPair::new_account().public_key();
        let long = format!("worker ann {}", "x".repeat(73));
        for (text, reason) in [
            (format!("worker {seed}"), "line 1 is a seed"),
            (format!("worker {account}"), "line 1 is not the public key of a user"),
            (format!("worker {KEY}x"), "is not the public key"),
            ("worker".to_owned(), "line 1 of the users is no user"),
            ("\nworker ann hunter2 more".to_owned(), "line 2 of the users is no user"),
            ("admin ann hunter2".to_owned(), "names no role"),
            (long, "has more than 72 bytes"),
            (
                String::new(),
                "no user for the role worker: name one in the file of --users, or set JETWAY_WORKER_PASSWORD",
            ),
        ] {
            let error = parse(&text, &[Role::Worker]).unwrap_err();
            assert!(error.is::<BadUsers>(), "{error:?}");
            let message = error.to_string();
            assert!(message.contains(reason), "{message}");
            assert!(!message.contains("hunter2") && !message.contains(&seed), "{message}");
        }
    }
}
