//! A host whose name stands for several addresses. Linux answers on all of 127.0.0.0/8.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use super::{class, client, endpoint, hello, send};
use crate::faulty_server::{FaultyServer, read_request, stream};
use runner::plan::{Addresses, Endpoint};
use std::io::Write;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Servers at 127.0.0.2 and so on, at one port, that answer any number of requests.
fn servers(count: u8) -> (Vec<FaultyServer>, u16) {
    let first = TcpListener::bind(SocketAddr::new(address(2), 0)).unwrap();
    let port = first.local_addr().unwrap().port();
    let others = (1..count).map(|n| TcpListener::bind(SocketAddr::new(address(2 + n), port)));
    let listeners = std::iter::once(first).chain(others.map(Result::unwrap));
    let serve = |listener| {
        FaultyServer::serve_at(listener, |_, mut socket, stop, _| {
            while read_request(&mut socket, stop).is_ok() {
                socket.write_all(&stream(&hello())).unwrap();
            }
        })
    };
    (listeners.map(serve).collect(), port)
}

/// An endpoint whose name stands for 127.0.0.2 to `last`.
fn named(port: u16, last: u8) -> Endpoint {
    let url = url::Url::parse(&format!("http://pods.test:{port}/v1")).unwrap();
    let mut endpoint = endpoint(&url);
    endpoint.addresses = Addresses::Listed((2..=last).rev().map(address).collect());
    endpoint
}

#[tokio::test]
async fn connections_are_spread_over_all_addresses_and_each_request_says_its_own() {
    for over_library in [false, true] {
        let (servers, port) = servers(3);
        let mut endpoint = named(port, 4);
        let authority = over_library.then(super::tls::some_authority);
        endpoint.ca_file = authority.as_ref().map(|file| file.path().to_owned());
        let client = client(&endpoint);
        let asking: Vec<_> = (0..12).map(|_| send(&client)).collect();
        let mut requests = BTreeMap::new();
        for it in futures::future::join_all(asking).await {
            assert_eq!(class(&it), "ok", "{it:?}");
            *requests.entry(it.address.expect("an address")).or_insert(0) += 1;
        }
        assert_eq!(requests, (2..=4).map(|last| (address(last), 4)).collect());
        let made: Vec<_> = servers.iter().map(FaultyServer::connections).collect();
        assert_eq!(made, [4, 4, 4], "over_library: {over_library}");
        assert_eq!(client.addresses(), [address(2), address(3), address(4)]);
        assert!(client.unreachable().is_empty());
        let again = send(&client).await;
        assert!(again.reused && again.address.is_some(), "{again:?}");
    }
}

#[tokio::test]
async fn an_address_that_takes_no_connection_is_left_for_the_next_one_and_told() {
    let (_servers, port) = servers(2);
    // Nobody listens at 127.0.0.4.
    let client = client(&named(port, 4));
    let asking: Vec<_> = (0..9).map(|_| send(&client)).collect();
    for it in futures::future::join_all(asking).await {
        assert_eq!(class(&it), "ok", "{it:?}");
    }
    let told = client.unreachable();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("127.0.0.4 took 0 of 3 connections (Connection refused"),
        "{told:?}"
    );
}

#[tokio::test]
async fn one_address_is_no_matter_of_addresses() {
    let (_servers, port) = servers(1);
    let client = client(&named(port, 2));
    let it = send(&client).await;
    assert_eq!((class(&it).as_str(), it.address), ("ok", None));
    assert!(client.addresses().is_empty());
}
