//! TLS to the collector.

use super::settings::Files;
use jetway_nats::Secret;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{fs, path::Path, sync::Arc};

/// The files of the settings, as they are.
#[derive(Debug, Default)]
pub(super) struct Pem {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Pem {
    /// Reads and checks the files. A file that cannot be used gives a warning and is left out.
    pub(super) fn read(files: &Files, warnings: &mut Vec<String>) -> Self {
        let mut checked = |path: &Path, what: &str, is_good: fn(&[u8]) -> bool| match fs::read(path) {
            Ok(pem) if is_good(&pem) => Some(pem),
            Ok(_) => {
                warnings.push(format!(
                    "{} is not used for TLS: there is no {what} in it",
                    Secret::path_to_show(path)
                ));
                None
            }
            Err(error) => {
                warnings.push(format!(
                    "{} is not used for TLS: cannot read it: {error}",
                    Secret::path_to_show(path)
                ));
                None
            }
        };
        let authorities = files.authorities.as_deref();
        let authorities = authorities.and_then(|path| checked(path, "certificate", has_certificates));
        let client = files.client.as_ref().and_then(|(certificate, key)| {
            let certificate = checked(certificate, "certificate", has_certificates);
            certificate.zip(checked(key, "private key", |pem| PrivateKeyDer::from_pem_slice(pem).is_ok()))
        });
        Self { authorities, client }
    }

    /// For gRPC.
    pub(super) fn for_grpc(&self) -> ClientTlsConfig {
        let config = match &self.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match &self.client {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    /// For HTTP.
    pub(super) fn for_http(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let found: Vec<CertificateDer<'static>> = match &self.authorities {
            Some(pem) => certificates(pem),
            None => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(found);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        match &self.client {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
                config.with_client_auth_cert(certificates(certificate), key)
            }
            None => Ok(config.with_no_client_auth()),
        }
    }
}

fn has_certificates(pem: &[u8]) -> bool {
    !certificates(pem).is_empty()
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m5_a_key_in_the_place_of_its_file_is_not_shown() {
        let key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
        let files = Files { authorities: Some(key.into()), client: Some((key.into(), key.into())) };
        let mut warnings = Vec::new();
        Pem::read(&files, &mut warnings);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(!warnings.concat().contains("hunter2"), "{warnings:?}");
    }
}
