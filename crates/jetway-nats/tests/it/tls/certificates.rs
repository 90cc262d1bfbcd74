//! Certificates for a test: an authority of its own, and files that it has signed.

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// An authority, and the directory with its files.
pub(super) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), pem("CERTIFICATE", certificate.der())).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// The file with the certificate of the authority.
    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for a host name or an IP address.
    pub(super) fn issue(&self, name: &str) -> Files {
        self.signed(name, &CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// A certificate that has expired.
    pub(super) fn issue_expired(&self, name: &str) -> Files {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.signed(name, &params)
    }

    fn signed(&self, name: &str, params: &CertificateParams) -> Files {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.directory.path().join(format!("{name}{end}"));
        let files = Files { certificate: path(".pem"), key: path(".key") };
        fs::write(&files.certificate, pem("CERTIFICATE", certificate.der())).unwrap();
        fs::write(&files.key, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
        files
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
