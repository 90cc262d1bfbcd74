//! `jetway permissions`: prints the accounts, users and permissions for a server.

mod users;

use crate::{
    args::CommonArgs,
    exit::{BadInput, Exit},
    output,
};
use clap::{Args, ValueEnum};
use jetway::{
    WorkflowName,
    nats::{DEFAULT_ACCOUNT, PermissionSettings, Permissions, Role},
};
use std::path::PathBuf;
use users::BadUsers;

const AFTER_HELP: &str = "\
Prints a part of the configuration of a NATS server, which can stand at the top level of its
file, also with `include`. Name all roles at once, since a server has one list of accounts.

  starter   starts runs, and reads their status, outputs and results; in an account of its own
  worker    runs a host; creates what its namespace needs, and never deletes it
  operator  uses every command of `jetway`

The file of --users has one user in each line: its role, its name and its password, or its
role and the public key of its nkey. An empty line, and one that begins with #, says nothing.
A password is printed as its bcrypt hash; one that is a hash already is printed as it is.
Without a file, each role has one user with its name, and its password is in the variable
JETWAY_STARTER_PASSWORD, JETWAY_WORKER_PASSWORD or JETWAY_OPERATOR_PASSWORD, or its public
key in JETWAY_STARTER_NKEY, JETWAY_WORKER_NKEY or JETWAY_OPERATOR_NKEY. With --server-env,
the server itself reads the variables of the passwords.

Examples:
  jetway permissions starter worker operator --users users.txt > permissions.conf
  jetway permissions starter worker --workflow orders --workflow refunds --users users.txt
  echo 'include \"permissions.conf\"' >> nats-server.conf";

/// Print accounts, users and permissions for the configuration of a NATS server
#[derive(Debug, Args)]
#[command(after_help = Exit::help(AFTER_HELP, &[]))]
pub(crate) struct PermissionsArgs {
    /// Roles
    #[arg(required = true, value_enum, value_name = "ROLE")]
    roles: Vec<RoleArg>,

    /// Workflow that starters start and hosts serve; may be repeated [default: all]
    #[arg(long = "workflow", value_name = "NAME")]
    workflows: Vec<WorkflowName>,

    /// Account of hosts and operators; that of the starters has this name and `_STARTER`
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ACCOUNT)]
    account: String,

    /// Prefix of reply subjects besides `_INBOX`; may be repeated
    #[arg(long = "inbox-prefix", value_name = "SUBJECT")]
    inbox_prefixes: Vec<String>,

    /// File with the users; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "server_env")]
    users: Option<PathBuf>,

    /// Let the server read the passwords from its own environment
    // JSON has no variables.
    #[arg(long, conflicts_with = "json")]
    server_env: bool,

    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// A role, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    Starter,
    Worker,
    Operator,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Starter => Self::Starter,
            RoleArg::Worker => Self::Worker,
            RoleArg::Operator => Self::Operator,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: PermissionsArgs) -> anyhow::Result<Exit> {
    let mut roles: Vec<Role> = args.roles.into_iter().map(Role::from).collect();
    roles.sort_unstable();
    roles.dedup();
    let users = match &args.users {
        _ if args.server_env => Ok(users::of_server_env(&roles)),
        Some(file) => users::of_file(file, &roles),
        None => users::of_env(&roles),
    };
    let mut settings = PermissionSettings::new(args.common.namespace);
    settings.users = users.map_err(|error| match error.downcast_ref::<BadUsers>() {
        Some(bad) => BadInput(bad.to_string()).into(),
        None => error,
    })?;
    (settings.account, settings.workflows) = (args.account, args.workflows);
    settings.inbox_prefixes = args.inbox_prefixes;
    let permissions = Permissions::new(&settings)?;
    match args.common.json {
        true => output::print_json(&permissions)?,
        false => output::print(&permissions.to_string())?,
    }
    Ok(Exit::Success)
}
