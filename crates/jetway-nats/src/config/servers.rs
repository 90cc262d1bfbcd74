//! The addresses of servers, as text: the only parser of them.

use super::{NatsAuth, Secret};
use percent_encoding::percent_decode_str;
use std::{fmt, net::Ipv6Addr};
use url::Url;

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 4222;

/// The addresses of one server or of the servers of a cluster, and the login that they contain.
///
/// The text is a list with commas. Each entry is `[nats://|tls://][user:password@|token@]host[:port]`. The default scheme
/// is `nats`, the default port 4222. An IPv6 address stands in brackets. In user, password and token, other characters than
/// letters and digits are percent-encoded (`@` is `%40`, a comma `%2C`). The login is used for the connection, and never
/// shown.
///
/// ```
/// use jetway_nats::{NatsAuth, ServerList};
///
/// let servers = ServerList::from("nats://ann:p%40ss@a, [::1]:4333, tls://b.example.com");
/// assert_eq!(servers.to_string(), "nats://a:4222, nats://[::1]:4333, tls://b.example.com:4222");
/// assert_eq!(servers.login(), &NatsAuth::password("ann", "p@ss"));
/// assert!(ServerList::from("http://a").check().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerList {
    addresses: Vec<ServerAddress>,
    login: NatsAuth,
    problem: Option<BadServerList>,
}

/// The address of a server, without a login.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    tls: bool,
    host: String,
    port: u16,
}

/// Why a text is no list of server addresses. It shows no login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} is not the address of a nats-server: {reason}; use one like nats://127.0.0.1:4222")]
pub struct BadServerList {
    place: String,
    reason: String,
}

impl ServerList {
    /// The addresses. Empty if the list is invalid.
    pub fn addresses(&self) -> &[ServerAddress] {
        &self.addresses
    }

    /// The login that the addresses contain. [`NatsAuth::None`] if they contain none.
    pub fn login(&self) -> &NatsAuth {
        &self.login
    }

    /// Whether the text was a list of addresses.
    ///
    /// # Errors
    /// It was not.
    pub fn check(&self) -> Result<(), BadServerList> {
        self.problem.clone().map_or(Ok(()), Err)
    }

    fn parse(text: &str) -> Result<Self, BadServerList> {
        let (mut addresses, mut login) = (Vec::new(), NatsAuth::None);
        let entries = || text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let count = entries().count();
        for (index, entry) in entries().enumerate() {
            // A part of a password may look like an entry of its own, so nothing is shown where one may be.
            let place = match text.contains('@') {
                true => format!("entry {} of {count} in the list of servers", index + 1),
                false => format!("{entry:?}"),
            };
            let bad = |reason: &str| BadServerList { place: place.clone(), reason: reason.to_owned() };
            let (address, found) = parse_entry(entry).map_err(|reason| bad(&reason))?;
            if found != NatsAuth::None && login != NatsAuth::None && found != login {
                return Err(bad("it has another login than the entries before it"));
            }
            if found != NatsAuth::None {
                login = found;
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            let place = "an empty text".to_owned();
            return Err(BadServerList { place, reason: "it names no server".to_owned() });
        }
        Ok(Self { addresses, login, problem: None })
    }
}

/// An address and the login in it.
fn parse_entry(entry: &str) -> Result<(ServerAddress, NatsAuth), String> {
    if entry.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address stands in brackets".to_owned());
    }
    let with_scheme = match entry.contains("://") {
        true => entry.to_owned(),
        false => format!("nats://{entry}"),
    };
    let encoding = match entry.contains('@') {
        true => " (in a user or password, write other characters than letters and digits percent-encoded)",
        false => "",
    };
    let url: Url = with_scheme.parse().map_err(|error| format!("{error}{encoding}"))?;
    let tls = match url.scheme() {
        "nats" => false,
        "tls" => true,
        "ws" | "wss" => return Err("WebSockets are not supported".to_owned()),
        _ => return Err("the scheme is neither nats nor tls".to_owned()),
    };
    let has_more = !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some();
    if has_more {
        return Err(format!("there is something after host and port{encoding}"));
    }
    let host = url.host_str().filter(|host| !host.is_empty() && !host.contains('%'));
    let host = host.ok_or_else(|| format!("the host is missing or invalid{encoding}"))?.to_owned();
    let port = url.port().unwrap_or(DEFAULT_PORT);
    if port == 0 {
        return Err("the port is 0".to_owned());
    }
    Ok((ServerAddress { tls, host, port }, login(&url, &with_scheme)?))
}

/// The login in the text of an address. The parsed one does not tell an empty password from none.
fn login(url: &Url, text: &str) -> Result<NatsAuth, String> {
    let has_empty_password = text.rsplit_once('@').is_some_and(|(before, _)| before.ends_with(':'));
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(|text| text.into_owned()).map_err(|_invalid| "the login is not UTF-8".to_owned())
    };
    match (url.username(), url.password().or(has_empty_password.then_some(""))) {
        ("", None) => Ok(NatsAuth::None),
        ("", Some(_)) => Err("there is a password without a user".to_owned()),
        (token, None) => Ok(NatsAuth::Token(decoded(token)?.into())),
        (user, Some(password)) => {
            Ok(NatsAuth::Password { user: decoded(user)?, password: Secret::from(decoded(password)?) })
        }
    }
}

impl ServerAddress {
    /// The name or the IP address, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<&str> for ServerList {
    /// Never fails: an invalid list is an error of the connection that uses it, and of [`check`](Self::check).
    fn from(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|problem| Self {
            addresses: Vec::new(),
            login: NatsAuth::None,
            problem: Some(problem),
        })
    }
}

impl From<String> for ServerList {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for ServerList {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ServerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problem.is_some() {
            return f.write_str("an invalid list of servers");
        }
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(", "))
    }
}

impl fmt::Debug for ServerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let servers = ServerList::from(text);
        servers.check().map_or_else(|bad| bad.to_string(), |()| servers.to_string())
    }

    #[test]
    fn f9_addresses_have_a_default_scheme_and_port() {
        for (text, expected) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("demo.nats.io", "nats://demo.nats.io:4222"),
            ("localhost:5000", "nats://localhost:5000"),
            ("tls://a/", "tls://a:4222"),
            ("nats://[::1]", "nats://[::1]:4222"),
            ("[fe80::1]:4300", "nats://[fe80::1]:4300"),
            (" a , tls://b:1,, c ", "nats://a:4222, tls://b:1, nats://c:4222"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn f9_an_invalid_list_says_what_is_wrong() {
        for (text, reason) in [
            ("", "names no server"),
            (" , ", "names no server"),
            ("::1", "in brackets"),
            ("nats://[", "invalid IPv6"),
            ("http://a", "neither nats nor tls"),
            ("ws://a", "WebSockets"),
            ("nats://", "host"),
            ("a:0", "port is 0"),
            ("a:70000", "port"),
            ("a:b", "port"),
            ("nats://a/b", "after host and port"),
            ("nats://a?b", "after host and port"),
            ("nats://:pw@a", "password without a user"),
        ] {
            assert!(shown(text).contains(reason), "{text:?}: {}", shown(text));
        }
        assert!(shown("nats://[").contains("nats://["));
    }

    #[test]
    fn f8_the_login_is_decoded() {
        let login = |text: &str| ServerList::from(text).login().clone();
        assert_eq!(login("a"), NatsAuth::None);
        assert_eq!(login("nats://ann:secret@a"), NatsAuth::password("ann", "secret"));
        assert_eq!(login("ann:s%2Ce%40c%3Aret%25@a"), NatsAuth::password("ann", "s,e@c:ret%"));
        assert_eq!(login("nats://s%C3%A4ge@a"), NatsAuth::token("säge"));
        assert_eq!(login("nats://ann:@a"), NatsAuth::password("ann", ""));
        assert_eq!(login("a,nats://ann:x@b,c"), NatsAuth::password("ann", "x"));
        assert_eq!(login("ann:x@b,ann:x@c"), NatsAuth::password("ann", "x"));
        assert!(shown("ann:x@b,bob:x@c").contains("another login"));
    }

    #[test]
    fn m5_no_text_of_a_list_shows_a_login() {
        for text in [
            "nats://ann:hunter2@a",
            "nats://hunter2@a:x",
            "nats://ann:hunter2#@a",
            "nats://ann:hunter2/@a",
            "nats://ann:hunter2?@a",
            "nats://ann:hunter2,2@a",
            "nats://ann:2,hunter2@a",
            "hunter2://ann@a",
            "http://ann:hunter2@a",
            "ann:hunter2@a,bob:hunter2@b",
            "nats://ann:%ffhunter2@a",
            "nats://:hunter2@a",
        ] {
            let list = ServerList::from(text);
            let all = format!("{list} {list:?} {list:#?} {:?} {}", list.check(), shown(text));
            assert!(!all.contains("hunter2"), "{text}: {all}");
        }
    }
}
