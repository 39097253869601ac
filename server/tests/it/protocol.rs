//! The protocol's edges: startup, limits, broken messages, the end of the server.

use std::net::{Ipv4Addr, SocketAddr};

use levada_server::pg::accept::Listener;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::support::{PATIENCE, cell, field, server, server_with_limit, state};

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_once() {
    let server = server().await;
    let mut raw = server.raw().await;
    for code in [80_877_103_i32, 80_877_104] {
        raw.send(&[&8_i32.to_be_bytes()[..], &code.to_be_bytes()].concat()).await;
        assert_eq!(raw.0.read_u8().await.ok(), Some(b'N'), "declined");
    }
    raw.login().await;

    let mut raw = server.raw().await;
    let request = [&8_i32.to_be_bytes()[..], &80_877_103_i32.to_be_bytes()].concat();
    raw.send(&request).await;
    assert_eq!(raw.0.read_u8().await.ok(), Some(b'N'), "declined");
    raw.send(&request).await;
    assert_eq!(raw.last_words().await.as_deref(), Some("08P01"), "asked twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_an_encryption_request_are_refused() {
    let server = server().await;
    let mut raw = server.raw().await;
    let request = [&8_i32.to_be_bytes()[..], &80_877_103_i32.to_be_bytes(), b"injected"].concat();
    raw.send(&request).await;
    assert_eq!(raw.last_words().await.as_deref(), Some("08P01"), "injected");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_protocols_are_negotiated_down() {
    let server = server().await;
    for (version, negotiates, key_bytes) in
        [(3 << 16, false, 4), (3 << 16 | 2, false, 32), (3 << 16 | 9999, true, 32)]
    {
        let mut raw = server.raw().await;
        raw.startup(version, &[("user", "admin"), ("database", "main")]).await;
        let answer = raw.until(b'Z').await;
        assert_eq!(answer.iter().any(|(tag, _)| *tag == b'v'), negotiates, "version {version}");
        let (_, key) = answer.iter().find(|(tag, _)| *tag == b'K').expect("BackendKeyData");
        assert_eq!(key.len(), 4 + key_bytes, "key of version {version}");
    }
    let mut raw = server.raw().await;
    raw.startup(2 << 16, &[]).await;
    assert_eq!(raw.last_words().await.as_deref(), Some("0A000"), "version 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_main_database_exists() {
    let server = server().await;
    assert!(server.client_as("user=someone dbname=someone").await.is_ok(), "psql's default");
    let Err(refused) = server.client_as("user=admin dbname=other").await else {
        panic!("there is no such database");
    };
    let (sqlstate, message) = state(&refused);
    assert_eq!(sqlstate, "3D000", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_encodings_are_refused() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.startup(3 << 16, &[("user", "admin"), ("client_encoding", "LATIN1")]).await;
    assert_eq!(raw.last_words().await.as_deref(), Some("22023"), "encoding");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited() {
    let server = server_with_limit(2).await;
    let first = server.client().await;
    let _second = server.client().await;
    let Err(refused) = server.client_as("user=admin dbname=main").await else {
        panic!("the third client is one too many");
    };
    assert_eq!(state(&refused).0, "53300", "too many");
    drop(first);
    // The place is free once the server has noticed.
    let again = async { while server.client_as("user=admin dbname=main").await.is_err() {} };
    timeout(PATIENCE, again).await.expect("the place is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_messages_end_only_their_connection() {
    let server = server().await;
    let witness = server.client().await;
    let broken: [&[u8]; 8] = [
        b"Q\0\0\0\x03",       // length below its own size
        b"Q\xff\xff\xff\xff", // negative length
        b"Q\x7f\xff\xff\xff", // 2 GiB
        b"!\0\0\0\x04",       // no such message
        b"Q\0\0\0\x06ab",     // no zero at the end
        b"B\0\0\0\x06\0\0",   // half a Bind
        b"S\0\0\0\x05x",      // a Sync with a body
        b"E\0\0\0\x05\0",     // an Execute without a count
    ];
    for bytes in broken {
        let mut raw = server.raw().await;
        raw.login().await;
        raw.send(bytes).await;
        assert_eq!(raw.last_words().await.as_deref(), Some("08P01"), "{bytes:?}");
    }
    let mut raw = server.raw().await;
    raw.login().await;
    raw.send(b"Q\0\0\0\x07\xff\xfe\0").await;
    assert_eq!(raw.last_words().await.as_deref(), Some("22021"), "not UTF-8");
    assert_eq!(cell(&witness, "select 1").await.as_deref(), Some("1"), "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn startup_packets_are_limited() {
    let server = server().await;
    for length in [0_i32, 7, -1, 16 * 1024 + 1, i32::MAX] {
        let mut raw = server.raw().await;
        raw.send(&length.to_be_bytes()).await;
        assert_eq!(raw.last_words().await.as_deref(), Some("08P01"), "length {length}");
    }
    // A TLS ClientHello looks like an enormous length.
    let mut raw = server.raw().await;
    raw.send(&[0x16, 0x03, 0x01, 0x02, 0x00]).await;
    assert_eq!(raw.last_words().await.as_deref(), Some("08P01"), "TLS without asking");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_tells_idle_clients() {
    let mut server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    server.stop.cancel();
    let (tag, body) = raw.read().await.expect("a last word");
    assert_eq!(tag, b'E', "an error");
    assert_eq!(field(&body, b'C').as_deref(), Some("57P01"), "shutdown");
    assert_eq!(field(&body, b'S').as_deref(), Some("FATAL"), "severity");
    timeout(PATIENCE, &mut server.running).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn addresses_beyond_loopback_are_refused() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = Listener::bind(everywhere).await.expect_err("no passwords, no network");
    assert!(refused.to_string().contains("no role has a password"), "{refused}");
}
