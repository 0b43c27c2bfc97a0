//! Row 11: certificates that must not be trusted, and those that may be.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{class, endpoint, exchange, hello};
use crate::faulty_server::{FaultyServer, read_request, stream};

/// A self-signed certificate for `name`, expired or not, and its key.
fn certificate(name: &str, expired: bool) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(if expired { 2002 } else { 2100 }, 1, 1);
    (params.self_signed(&key).unwrap(), key)
}

/// A file with some certificate authority, which makes a client go over the HTTP crate.
pub fn some_authority() -> tempfile::NamedTempFile {
    let (certificate, _) = certificate("127.0.0.1", false);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.pem()).unwrap();
    file
}

/// An HTTPS server with that certificate.
fn server(certificate: &rcgen::Certificate, key: &KeyPair) -> (FaultyServer, url::Url) {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = FaultyServer::serve(move |_, tcp, stop, requests| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = StreamOwned::new(connection, tcp);
        while let Ok(request) = read_request(&mut tls, stop) {
            requests.lock().unwrap().push(request);
            if tls.write_all(&stream(&hello())).is_err() {
                break;
            }
        }
    });
    let url = url::Url::parse(&format!("https://127.0.0.1:{}/v1", server.address().port()));
    (server, url.unwrap())
}

#[tokio::test]
async fn bad_certificates_are_refused() {
    for (name, expired) in [("127.0.0.1", false), ("127.0.0.1", true), ("example.org", false)] {
        let (certificate, key) = certificate(name, expired);
        let (server, url) = server(&certificate, &key);
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), certificate.pem()).unwrap();
        let mut endpoint = endpoint(&url);
        // The first is unknown; the others are known and still wrong.
        if expired || name != "127.0.0.1" {
            endpoint.ca_file = Some(ca.path().to_owned());
        }
        let it = exchange(&endpoint).await;
        assert_eq!((class(&it).as_str(), it.connected_ns), ("connect.tls", None), "{it:?}");
        assert!(server.requests().is_empty(), "nothing was sent");
    }
}

#[tokio::test]
async fn an_authoritys_own_certificate_is_refused_with_what_to_do() {
    // As `openssl req -x509` makes them.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let (_server, url) = server(&certificate, &key);
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), certificate.pem()).unwrap();
    let mut endpoint = endpoint(&url);
    endpoint.ca_file = Some(ca.path().to_owned());
    let it = exchange(&endpoint).await;
    assert_eq!(class(&it), "connect.tls");
    let said = format!("{it:?}");
    assert!(said.contains("CA:FALSE") && said.contains("insecure: true"), "{said}");
}

#[tokio::test]
async fn a_private_authority_or_insecure_lets_it_through() {
    let (certificate, key) = certificate("127.0.0.1", false);
    let (_server, url) = server(&certificate, &key);
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), certificate.pem()).unwrap();
    let mut trusted = endpoint(&url);
    trusted.ca_file = Some(ca.path().to_owned());
    let it = exchange(&trusted).await;
    assert_eq!(class(&it), "ok", "{it:?}");
    assert!(it.connected_ns.is_some());
    let mut insecure = endpoint(&url);
    insecure.insecure = true;
    assert_eq!(class(&exchange(&insecure).await), "ok");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_said_before_anything_is_sent() {
    use runner::client::Client;
    use runner::record::RunClock;
    let empty = tempfile::NamedTempFile::new().unwrap();
    let url = url::Url::parse("https://127.0.0.1:1/v1").unwrap();
    for path in [empty.path(), std::path::Path::new("/no/such.pem")] {
        let mut endpoint = endpoint(&url);
        endpoint.ca_file = Some(path.to_owned());
        let Err(error) = Client::new(&endpoint, &url, RunClock::start_now()) else {
            panic!("{} was taken", path.display())
        };
        assert!(error.to_string().starts_with("ca_file "), "{error}");
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_and_the_reverse_are_told() {
    let (certificate, key) = certificate("127.0.0.1", false);
    let (_server, mut url) = server(&certificate, &key);
    url.set_scheme("http").unwrap();
    let it = exchange(&endpoint(&url)).await;
    assert!(["protocol.http", "stream.reset"].contains(&class(&it).as_str()), "{it:?}");
    let plain = FaultyServer::answers(|_| stream(&hello()));
    let mut url = plain.url();
    url.set_scheme("https").unwrap();
    let it = super::send(&super::client(&super::limited(&url, |limits| {
        limits.connect = super::SHORT * 5;
    })))
    .await;
    assert!(["connect.tls", "connect.reset", "timeout.connect"].contains(&class(&it).as_str()));
}
