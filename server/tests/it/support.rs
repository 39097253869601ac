//! A server in this process, and ways to talk to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use levada_engine::client::Database;
use levada_server::config::IN_MEMORY;
use levada_server::pg::accept::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

/// How long anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a server on a free port with an empty database in memory.
pub(crate) async fn server() -> Server {
    server_with_limit(200).await
}

/// Starts a server that takes a limited number of clients.
pub(crate) async fn server_with_limit(connections_max: usize) -> Server {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener::bind_with_limit(any_port, connections_max).await.expect("a free port");
    let address = listener.address();
    let database = Database::open(IN_MEMORY).await.expect("an empty database");
    let stop = CancellationToken::new();
    let running = tokio::spawn(listener.serve(database, stop.clone()));
    Server { address, stop, running }
}

impl Server {
    /// Connects with tokio-postgres.
    pub(crate) async fn client(&self) -> Client {
        self.client_as("user=admin dbname=main").await.expect("a login")
    }

    /// Connects with more of a connection string.
    pub(crate) async fn client_as(&self, options: &str) -> Result<Client, tokio_postgres::Error> {
        let (host, port) = (self.address.ip(), self.address.port());
        let options = format!("host={host} port={port} {options}");
        let (client, connection) = tokio_postgres::connect(&options, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Connects without a driver.
    pub(crate) async fn raw(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.expect("a connection"))
    }
}

/// The rows of a simple query, cells in text form.
pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.expect("the query runs");
    messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect())
            }
            _ => None,
        })
        .collect()
}

/// The single cell of a simple query.
pub(crate) async fn cell(client: &Client, sql: &str) -> Option<String> {
    let mut rows = rows(client, sql).await;
    assert_eq!(rows.len(), 1, "one row of {sql}");
    rows.remove(0).remove(0)
}

/// The SQLSTATE and message of a failing simple query.
pub(crate) async fn error(client: &Client, sql: &str) -> (String, String) {
    match client.simple_query(sql).await {
        Ok(_) => panic!("{sql} should fail"),
        Err(error) => state(&error),
    }
}

/// The SQLSTATE and message of an error.
pub(crate) fn state(error: &tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?} comes from the server"));
    (error.code().code().to_owned(), error.message().to_owned())
}

/// A connection of plain bytes.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the server reads");
    }

    /// Sends a message with a tag.
    pub(crate) async fn message(&mut self, tag: u8, body: &[u8]) {
        let length = i32::try_from(body.len() + 4).expect("a short message");
        let mut bytes = vec![tag];
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
        self.send(&bytes).await;
    }

    /// Sends a startup packet of a protocol version.
    pub(crate) async fn startup(&mut self, version: i32, parameters: &[(&str, &str)]) {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            for text in [name, value] {
                body.extend(text.as_bytes());
                body.push(0);
            }
        }
        body.push(0);
        let length = i32::try_from(body.len() + 4).expect("a short packet");
        self.send(&length.to_be_bytes()).await;
        self.send(&body).await;
    }

    /// Logs in and waits for `ReadyForQuery`.
    pub(crate) async fn login(&mut self) {
        self.startup(3 << 16, &[("user", "admin"), ("database", "main")]).await;
        self.until(b'Z').await;
    }

    /// Reads a message; `None` when the server has closed the connection.
    pub(crate) async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let reading = async {
            let tag = self.0.read_u8().await.ok()?;
            let length = self.0.read_i32().await.ok()?;
            let mut body = vec![0; usize::try_from(length - 4).ok()?];
            self.0.read_exact(&mut body).await.ok()?;
            Some((tag, body))
        };
        timeout(PATIENCE, reading).await.expect("the server answers in time")
    }

    /// Reads up to a message with a tag and returns all.
    pub(crate) async fn until(&mut self, tag: u8) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        loop {
            let message = self.read().await.unwrap_or_else(|| {
                panic!("the connection ended after {messages:?}, before a {:?}", char::from(tag))
            });
            let found = message.0 == tag;
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    /// Reads up to the end of the connection and returns the SQLSTATE of the last error.
    pub(crate) async fn last_words(&mut self) -> Option<String> {
        let mut last = None;
        while let Some((tag, body)) = self.read().await {
            if tag == b'E' {
                last = field(&body, b'C');
            }
        }
        last
    }
}

/// A field of an error or notice.
pub(crate) fn field(body: &[u8], code: u8) -> Option<String> {
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&code))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}
