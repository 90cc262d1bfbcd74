//! Writes permissions in the format of a server's configuration.

use super::{Account, Login, Password, Permissions, Shared, User};
use std::fmt::{Formatter, Result};

pub(super) fn write(f: &mut Formatter<'_>, permissions: &Permissions) -> Result {
    writeln!(f, "accounts: {{")?;
    for (name, account) in &permissions.accounts {
        write_account(f, name, account)?;
    }
    writeln!(f, "}}")
}

fn write_account(f: &mut Formatter<'_>, name: &str, account: &Account) -> Result {
    writeln!(f, "  {name}: {{")?;
    if let Some(jetstream) = account.jetstream {
        writeln!(f, "    jetstream: {jetstream}")?;
    }
    if !account.exports.is_empty() {
        writeln!(f, "    exports: [")?;
        for export in &account.exports {
            let (kind, subject) = kind_of(&export.shared);
            let [importer] = &export.accounts;
            writeln!(f, "      {{{kind}: \"{subject}\", accounts: [\"{importer}\"]}}")?;
        }
        writeln!(f, "    ]")?;
    }
    if !account.imports.is_empty() {
        writeln!(f, "    imports: [")?;
        for import in &account.imports {
            let (kind, imported) = kind_of(import);
            let (from, subject) = (&imported.account, &imported.subject);
            writeln!(f, "      {{{kind}: {{account: \"{from}\", subject: \"{subject}\"}}}}")?;
        }
        writeln!(f, "    ]")?;
    }
    writeln!(f, "    users: [")?;
    for user in &account.users {
        write_user(f, user)?;
    }
    writeln!(f, "    ]\n  }}")
}

fn kind_of<T>(shared: &Shared<T>) -> (&'static str, &T) {
    match shared {
        Shared::Service(shared) => ("service", shared),
        Shared::Stream(shared) => ("stream", shared),
    }
}

fn write_user(f: &mut Formatter<'_>, user: &User) -> Result {
    writeln!(f, "      # {}\n      {{", user.role)?;
    match &user.login {
        Login::Nkey { nkey } => writeln!(f, "        nkey: \"{nkey}\"")?,
        Login::Password { user, password: Password::Hash(hash) } => {
            writeln!(f, "        user: \"{user}\", password: \"{hash}\"")?;
        }
        Login::Password { user, password: Password::Variable(variable) } => {
            writeln!(f, "        user: \"{user}\", password: {variable}")?;
        }
    }
    writeln!(f, "        permissions: {{")?;
    let permissions = &user.permissions;
    for (action, allowed) in [("publish", &permissions.publish), ("subscribe", &permissions.subscribe)] {
        writeln!(f, "          {action}: {{allow: [")?;
        for subject in &allowed.allow {
            writeln!(f, "            \"{subject}\"")?;
        }
        writeln!(f, "          ]}}")?;
    }
    writeln!(f, "        }}\n      }}")
}
