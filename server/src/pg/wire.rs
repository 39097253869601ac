//! A connection's two directions: frames in, messages out.
//!
//! Messages gather in a buffer; [`Wire::relieve`] writes it out once it passes [`OUTPUT_BYTES`], so
//! a long result waits for a slow reader instead of growing. Both directions may be abandoned at
//! any `await` and taken up again without losing or repeating a byte, which is what lets a
//! statement be cancelled in the middle of its result.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use levada_engine::client::Notice;

use crate::pg::frontend::{self, Request};
use crate::pg::guard::{self, Frame, Violation};
use crate::sqlstate::Report;

/// Pending output that is written out before more is made.
pub(crate) const OUTPUT_BYTES: usize = 64 * 1024;

/// How long to wait for the message after an Execute.
const LOOK_AHEAD: Duration = Duration::from_millis(5);

/// How often a waiting connection looks whether its client is still there.
const PEER_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A client's socket with its buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    input: BytesMut,
    /// What is to be sent.
    pub(crate) output: BytesMut,
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReadError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client broke the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
}

impl Wire {
    /// A fresh connection.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// The client's address.
    pub(crate) fn peer(&self) -> Option<String> {
        self.stream.peer_addr().ok().map(|address| address.ip().to_string())
    }

    /// The next startup packet; `None` when the client has closed the connection.
    ///
    /// # Errors
    /// When the socket fails or the packet's length is out of bounds.
    pub(crate) async fn startup_packet(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = guard::take_startup(&mut self.input)? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The next request; `None` when the client has closed the connection. Cancel-safe.
    ///
    /// # Errors
    /// When the socket fails or the client breaks the protocol.
    pub(crate) async fn request(&mut self) -> Result<Option<Request>, ReadError> {
        loop {
            if let Some(frame) = guard::take_message(&mut self.input)? {
                return Ok(Some(frontend::decode(frame)?));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Whether bytes have arrived that nobody has looked at.
    pub(crate) fn has_unread_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether a whole message has arrived that nobody has looked at.
    pub(crate) fn message_is_next(&self) -> bool {
        guard::peek_tag(&self.input).is_some()
    }

    /// Whether the next message is a Sync. Clients send it along with what it ends, so a message
    /// that is not here within [`LOOK_AHEAD`] is taken for another.
    pub(crate) async fn sync_is_next(&mut self) -> bool {
        let arriving =
            async { while !self.message_is_next() && self.fill().await.is_ok_and(|more| more) {} };
        // A failed or finished socket is met again by the next read.
        drop(tokio::time::timeout(LOOK_AHEAD, arriving).await);
        guard::peek_tag(&self.input) == Some(b'S')
    }

    async fn fill(&mut self) -> io::Result<bool> {
        if self.input.capacity() - self.input.len() < 4096 {
            self.input.reserve(16 * 1024);
        }
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// Adds a message to the output.
    pub(crate) fn put(&mut self, message: &impl Message) {
        // pgwire refuses messages over its own size limits; what was written of one is taken back.
        let before = self.output.len();
        if let Err(error) = message.encode(&mut self.output) {
            tracing::warn!(%error, "a message was too long to send");
            self.output.truncate(before);
        }
    }

    /// Adds an error to the output; `text` is the query it speaks of.
    pub(crate) fn put_error(&mut self, report: &Report, text: &str) {
        let severity = report.severity.word();
        let position = report.position.map(|position| position.character_in(text).to_string());
        let mut fields = vec![
            (b'S', severity.to_owned()),
            (b'V', severity.to_owned()),
            (b'C', report.sqlstate.to_owned()),
            (b'M', report.message.clone()),
        ];
        let more = [
            (b'D', &report.detail),
            (b'H', &report.hint),
            (b'P', &position),
            (b'W', &report.context),
        ];
        fields.extend(more.into_iter().filter_map(|(code, value)| Some((code, value.clone()?))));
        for (_, value) in &mut fields {
            // A zero byte would end the field.
            value.retain(|character| character != '\0');
        }
        self.put(&ErrorResponse::new(fields));
    }

    /// Adds a notice to the output.
    pub(crate) fn put_notice(&mut self, notice: Notice) {
        let mut fields = vec![
            (b'S', notice.severity.to_owned()),
            (b'V', notice.severity.to_owned()),
            (b'C', notice.sqlstate.to_owned()),
            (b'M', notice.message),
        ];
        fields.extend(notice.detail.map(|detail| (b'D', detail)));
        fields.extend(notice.hint.map(|hint| (b'H', hint)));
        self.put(&NoticeResponse::new(fields));
    }

    /// Writes the output out if there is much of it. Cancel-safe.
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) async fn relieve(&mut self) -> io::Result<()> {
        if self.output.len() < OUTPUT_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    /// Writes all output out. Cancel-safe.
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.output.has_remaining() {
            if self.stream.write_buf(&mut self.output).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Says goodbye to the socket.
    pub(crate) async fn close(&mut self) {
        if let Err(error) = self.stream.shutdown().await {
            tracing::debug!(%error, "the connection was gone already");
        }
    }

    /// Returns when the client has vanished; looks ten times a second, and reads nothing. A client that
    /// sends a short statement and leaves at once still has it run.
    pub(crate) async fn lost(&self) {
        loop {
            let wait = tokio::time::timeout(PEER_CHECK_INTERVAL, std::future::pending::<()>());
            if wait.await.is_ok() || self.is_closed().await {
                return;
            }
        }
    }

    /// Whether the client has closed its side, read or unread messages before that notwithstanding.
    async fn is_closed(&self) -> bool {
        let mut byte = [0];
        let look = tokio::time::timeout(Duration::ZERO, self.stream.peek(&mut byte));
        match look.await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_nothing_yet) => return false,
        }
        let ready = tokio::time::timeout(Duration::ZERO, self.stream.ready(Interest::READABLE));
        matches!(ready.await, Ok(Ok(ready)) if ready.is_read_closed())
    }
}
