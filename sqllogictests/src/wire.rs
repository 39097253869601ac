//! A server on the PostgreSQL wire, spoken to by the simple protocol: a spawned Levada, or PostgreSQL as
//! the second oracle for the dialect both share.
//!
//! PostgreSQL has no maintained views: `MATERIALIZED VIEW` is read as `VIEW` there, which is what the
//! view must be equal to after every epoch.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::service::Service;
use crate::target::{Answer, Failure, Target};
use crate::text;

/// Which server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Levada.
    Levada,
    /// PostgreSQL.
    Postgres,
}

/// A connection to a server.
pub struct Wire {
    server: Server,
    client: Client,
    folder: PathBuf,
    notices: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn connect(server: Server, url: &str, folder: &Path) -> Result<Self> {
        let (client, mut connection) =
            tokio_postgres::connect(url, NoTls).await.context("could not connect")?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&notices);
        #[expect(
            clippy::disallowed_methods,
            reason = "the task is owned and ended with the client"
        )]
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let line = format!("{}: {}", notice.severity(), notice.message());
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            }
        });
        Ok(Self { server, client, folder: folder.to_owned(), notices, task })
    }

    fn text(&self, sql: &str) -> String {
        let sql = sql.replace("$DIR", &self.folder.to_string_lossy());
        match self.server {
            Server::Levada => sql,
            Server::Postgres => sql.replace("MATERIALIZED VIEW", "VIEW"),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait(?Send)]
impl Target for Wire {
    fn labels(&self) -> Vec<&'static str> {
        match self.server {
            Server::Levada => vec!["levada", "wire"],
            Server::Postgres => vec!["postgres"],
        }
    }

    fn folders(&self) -> Vec<&Path> {
        vec![&self.folder]
    }

    async fn run(&mut self, sql: &str) -> Result<Result<Answer, Failure>> {
        let sql = self.text(sql);
        let messages = match self.client.simple_query(&sql).await {
            Ok(messages) => messages,
            Err(e) => return Ok(Err(failure(&e))),
        };
        let mut answer = Answer::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(_) => answer.rows.clear(),
                SimpleQueryMessage::Row(row) => {
                    let values: Vec<Option<String>> =
                        (0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect();
                    answer.rows.push(text::line(&values));
                }
                SimpleQueryMessage::CommandComplete(n) => answer.count = Some(n),
                _ => {}
            }
        }
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        answer.messages = std::mem::take(&mut notices);
        Ok(Ok(answer))
    }

    async fn advance(&mut self, _: i64) -> Result<()> {
        bail!("a server's clock cannot be moved: leave the file out with onlyif wire, halt")
    }

    async fn reopen(&mut self) -> Result<()> {
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A spawned Levada and a connection to it.
pub struct Served {
    data: PathBuf,
    running: Option<(Service, Wire)>,
    folder: PathBuf,
}

impl Served {
    /// Starts a server on `data` and connects; the script's files lie beside it.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start(data: &Path) -> Result<Self> {
        let folder = data.parent().context("a data directory has a parent")?.to_owned();
        let mut served = Self { data: data.to_owned(), running: None, folder };
        served.open().await?;
        Ok(served)
    }

    async fn open(&mut self) -> Result<()> {
        let service = Service::start(&self.data).await?;
        let wire = Wire::connect(Server::Levada, &service.url(), &self.folder).await?;
        self.running = Some((service, wire));
        Ok(())
    }
}

#[async_trait(?Send)]
impl Target for Served {
    fn labels(&self) -> Vec<&'static str> {
        vec!["levada", "wire"]
    }

    fn folders(&self) -> Vec<&Path> {
        vec![&self.folder]
    }

    async fn run(&mut self, sql: &str) -> Result<Result<Answer, Failure>> {
        self.running.as_mut().context("the server runs between calls")?.1.run(sql).await
    }

    async fn advance(&mut self, micros: i64) -> Result<()> {
        self.running.as_mut().context("the server runs between calls")?.1.advance(micros).await
    }

    async fn reopen(&mut self) -> Result<()> {
        self.close().await?;
        self.open().await
    }

    async fn close(&mut self) -> Result<()> {
        if let Some((service, wire)) = self.running.take() {
            drop(wire);
            service.stop().await?;
        }
        Ok(())
    }
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return Failure {
            sqlstate: "08000".to_owned(),
            message: error.to_string(),
            more: Vec::new(),
        };
    };
    let mut more = Vec::new();
    more.extend(db.detail().map(|d| format!("DETAIL: {d}")));
    more.extend(db.hint().map(|h| format!("HINT: {h}")));
    if let Some(tokio_postgres::error::ErrorPosition::Original(n)) = db.position() {
        more.push(format!("POSITION: {n}"));
    }
    Failure { sqlstate: db.code().code().to_owned(), message: db.message().to_owned(), more }
}
