//! One client's conversation: requests in, answers out, until someone leaves.
//!
//! **State**: the session, the prepared statements and portals, and whether messages are being
//! skipped because an extended statement failed. **Errors**: a statement's error is answered and
//! the conversation goes on; a broken protocol is answered with FATAL 08P01 and ends it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use levada_engine::client::{Outcome, Prepared, Session, TransactionStatus};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus as Status,
};
use pgwire::messages::startup::ParameterStatus;
use tokio_util::sync::CancellationToken;

use crate::pg::cancel::{Registration, Running};
use crate::pg::frontend::Request;
use crate::pg::guard::Violation;
use crate::pg::portal::{Portal, Statement};
use crate::pg::rows::{self, Failure};
use crate::pg::wire::{ReadError, Wire};
use crate::pg::{portal, query};
use crate::sqlstate::{Report, Severity};

/// A logged-in client.
pub(crate) struct Client {
    /// Its socket.
    pub(crate) wire: Wire,
    /// Its session.
    pub(crate) session: Session,
    /// Its prepared statements by name; the unnamed one is `""`.
    pub(crate) statements: HashMap<String, Arc<Statement>>,
    /// Its portals by name; the unnamed one is `""`.
    pub(crate) portals: HashMap<String, Portal>,
    /// Extended messages since the last Sync run in one implicit transaction.
    pub(crate) implicit: bool,
    /// An extended message failed: skip to Sync.
    skipping: bool,
    registration: Registration,
}

impl Client {
    /// A client whose login is complete.
    pub(crate) fn new(wire: Wire, session: Session, registration: Registration) -> Self {
        Self {
            wire,
            session,
            statements: HashMap::new(),
            portals: HashMap::new(),
            implicit: false,
            skipping: false,
            registration,
        }
    }

    /// Talks until the client leaves, breaks the protocol, or `stop` fires while it is idle.
    pub(crate) async fn converse(mut self, stop: CancellationToken) {
        self.ready();
        loop {
            // Answers to pipelined messages leave together, before anyone waits.
            if !self.wire.message_is_next() && self.wire.flush().await.is_err() {
                return;
            }
            let request = tokio::select! {
                biased;
                () = stop.cancelled() => Err(shutting_down()),
                request = self.wire.request() => request.map_err(broken),
            };
            let request = match request {
                Ok(Some(Request::Terminate) | None) => return,
                Ok(Some(request)) => request,
                Err(report) => return self.leave(&report).await,
            };
            if self.answer(request).await.is_err() {
                return;
            }
        }
    }

    /// Answers one request. The only error is a client that is gone.
    async fn answer(&mut self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Sync => {
                self.sync().await?;
                return Ok(());
            }
            Request::Query(text) => {
                // An error in extended messages is over only with Sync.
                if !self.skipping {
                    Box::pin(query::run(self, text)).await?;
                    self.ready();
                }
                return Ok(());
            }
            // Leftovers of a COPY that failed while its data was on the way.
            Request::CopyData(_) | Request::CopyDone | Request::CopyFail(_) => return Ok(()),
            _ if self.skipping => return Ok(()),
            _ => {}
        }
        let text = self.text_of(&request);
        match Box::pin(portal::answer(self, request)).await {
            Err(Failure::Statement(report)) => {
                self.refuse(&report, &text);
                self.skipping = true;
                Ok(())
            }
            other => other,
        }
    }

    /// The query that an error in the answer to a request would speak of.
    fn text_of(&self, request: &Request) -> String {
        match request {
            Request::Parse { text, .. } => text.clone(),
            Request::Bind(bind) => {
                self.statements.get(&bind.statement).map_or_else(String::new, |s| s.text.clone())
            }
            Request::Execute { portal, .. } => self
                .portals
                .get(portal)
                .map_or_else(String::new, |portal| portal.statement.text.clone()),
            _ => String::new(),
        }
    }

    /// Sync: ends the implicit transaction and the skipping.
    async fn sync(&mut self) -> Result<(), Failure> {
        self.skipping = false;
        if std::mem::take(&mut self.implicit)
            && let Err(error) = self.session.end_implicit().await
        {
            self.refuse(&error.into(), "");
        }
        if self.session.transaction_status() == TransactionStatus::Idle {
            // Portals live as long as their transaction.
            self.portals.clear();
        }
        self.ready();
        Ok(())
    }

    /// Runs a statement until its outcome is known, and tells the session if that fails.
    pub(crate) async fn execute(
        &mut self,
        running: &mut Running,
        statement: &Prepared,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome, Failure> {
        let withdrawal = self.session.withdrawal();
        let work = Box::pin(self.session.execute(statement, values));
        let outcome = rows::guarded_commit(running, &mut self.wire, &withdrawal, work).await?;
        self.put_notices();
        Ok(outcome?)
    }

    /// A statement begins: what may interrupt it.
    pub(crate) fn begin(&self) -> Running {
        self.registration.begin(self.session.statement_timeout())
    }

    /// The statement is over.
    pub(crate) fn end(&self) {
        self.registration.end();
    }

    /// Tells the client of a failed statement, and the session that its transaction failed.
    pub(crate) fn refuse(&mut self, report: &Report, text: &str) {
        self.session.fail();
        self.put_notices();
        self.wire.put_error(report, text);
    }

    /// Sends the session's messages.
    pub(crate) fn put_notices(&mut self) {
        for notice in self.session.take_notices() {
            self.wire.put_notice(notice);
        }
    }

    /// Sends the end of a statement.
    pub(crate) fn complete(&mut self, tag: String) {
        self.put_notices();
        self.wire.put(&CommandComplete::new(tag));
    }

    /// Sends the end of a statement without text.
    pub(crate) fn complete_empty(&mut self) {
        self.wire.put(&EmptyQueryResponse::new());
    }

    /// Sends changed settings and `ReadyForQuery`.
    fn ready(&mut self) {
        for (name, value) in self.session.take_reported_settings() {
            self.wire.put(&ParameterStatus::new(name, value));
        }
        self.session.rest();
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => Status::Idle,
            TransactionStatus::Open => Status::Transaction,
            TransactionStatus::Failed => Status::Error,
        };
        self.wire.put(&ReadyForQuery::new(status));
    }

    /// Says why the connection ends, and ends it.
    async fn leave(mut self, report: &Report) {
        self.wire.put_error(report, "");
        if self.wire.flush().await.is_ok() {
            self.wire.close().await;
        }
    }
}

/// What an idle client is told when the server stops.
fn shutting_down() -> Report {
    Report::fatal("57P01", "terminating connection due to administrator command")
}

/// What a client is told that does not speak the protocol.
pub(crate) fn broken(error: ReadError) -> Report {
    match error {
        ReadError::Io(error) => Report::fatal("08006", format!("could not receive data: {error}")),
        ReadError::Violation(Violation::Encoding) => Report {
            severity: Severity::Fatal,
            ..Report::error("22021", Violation::Encoding.to_string())
        },
        ReadError::Violation(violation) => Report::fatal("08P01", violation.to_string()),
    }
}
