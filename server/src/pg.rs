//! The PostgreSQL wire protocol, versions 3.0 and 3.2.
//!
//! One task per connection owns its socket, its [`Session`](levada_engine::client::Session), its
//! prepared statements and portals. It reads a request, answers it, reads the next; while a
//! statement runs nothing else is read but COPY data.
//!
//! ```text
//! accept   the listener, the number of connections, the end of the server
//! startup  SSLRequest, GSSENCRequest, CancelRequest, StartupMessage, login
//! client   the loop of requests, errors and ReadyForQuery
//! query    simple queries            portal   Parse, Bind, Describe, Execute, Close
//! rows     streaming results         copy     COPY in both directions
//! guard    frames within limits      frontend what clients send      wire   buffers of a socket
//! types    Arrow to PostgreSQL       encode   values out             decode values in
//! cancel   who runs what             tag      words of CommandComplete
//! ```
//! pgwire gives the messages that are sent and the startup packets; its socket loop is not used
//! because it collects results, cancels only planning and has no limits of its own before login.

pub mod accept;
pub(crate) mod cancel;
pub(crate) mod client;
pub(crate) mod copy;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod frontend;
pub(crate) mod guard;
pub(crate) mod portal;
pub(crate) mod query;
pub(crate) mod rows;
pub(crate) mod startup;
pub(crate) mod tag;
pub(crate) mod types;
pub(crate) mod wire;
