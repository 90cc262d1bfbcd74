//! How settings are shown: without secrets, also where one stands in the place of a file.

use super::ConnectionSettings;
use crate::config::Secret;
use std::fmt;

impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSettings")
            .field("context", &self.context.as_deref().map(|name| Secret::path_to_show(name.as_ref())))
            .field("servers", &self.servers)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("token", &self.token)
            .field("nkey", &self.nkey)
            .field("creds", &self.creds)
            .field("user_jwt", &self.user_jwt)
            .field("user_seed", &self.user_seed)
            .field("certificate", &self.certificate.as_deref().map(Secret::path_to_show))
            .field("key", &self.key.as_deref().map(Secret::path_to_show))
            .field("ca", &self.ca.as_deref().map(Secret::path_to_show))
            .field("tls_first", &self.tls_first)
            .field("jetstream_domain", &self.jetstream_domain)
            .field("jetstream_api_prefix", &self.jetstream_api_prefix)
            .field("inbox_prefix", &self.inbox_prefix)
            .finish()
    }
}
