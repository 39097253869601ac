//! From the first byte to a logged-in client.
//!
//! ```text
//! SSLRequest      -> 'N', go on in plain text; at most once, nothing may follow before the answer
//! GSSENCRequest   -> 'N', likewise
//! CancelRequest   -> interrupt the other connection, close
//! StartupMessage  -> version, parameters, login
//! ```
//! No roles with passwords exist, so the listener is bound to loopback only and every user name is
//! let in.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use levada_engine::client::{Database, SessionOptions};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, Startup,
};
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};

use crate::pg::cancel::Registry;
use crate::pg::client::{self, Client};
use crate::pg::guard::Frame;
use crate::pg::wire::Wire;
use crate::sqlstate::{Report, Severity};

const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSSENC_REQUEST: i32 = 80_877_104;

/// Name of the one database.
pub(crate) const DATABASE: &str = "main";

/// Role of clients that name none.
const DEFAULT_USER: &str = "admin";

/// Newest protocol version spoken, as on the wire: 3.2.
const NEWEST_PROTOCOL: i32 = 3 << 16 | 2;

/// What a `StartupMessage` asks for.
struct Login {
    user: String,
    database: String,
    settings: Vec<(String, String)>,
    minor: u16,
    unsupported: Vec<String>,
}

/// Takes a connection up to its login. `None`: it has ended, as a cancel request does.
pub(crate) async fn accept(
    mut wire: Wire,
    registry: &Arc<Registry>,
    database: &Database,
) -> Option<Client> {
    match login(&mut wire, registry).await {
        Ok(None) => None,
        Ok(Some(login)) => match enter(&mut wire, login, registry, database) {
            Ok((session, registration)) => Some(Client::new(wire, session, registration)),
            Err(report) => refuse(wire, &report).await,
        },
        Err(report) => refuse(wire, &report).await,
    }
}

/// Says why there is no login.
async fn refuse(mut wire: Wire, report: &Report) -> Option<Client> {
    wire.put_error(report, "");
    if wire.flush().await.is_ok() {
        wire.close().await;
    }
    None
}

/// Reads packets up to the `StartupMessage`.
async fn login(wire: &mut Wire, registry: &Registry) -> Result<Option<Login>, Report> {
    let (mut asked_ssl, mut asked_gss) = (false, false);
    loop {
        let Some(frame) = wire.startup_packet().await.map_err(client::broken)? else {
            return Ok(None);
        };
        let code = frame.body.get(..4).map_or(0, |mut word| word.get_i32());
        let asked = match code {
            SSL_REQUEST => &mut asked_ssl,
            GSSENC_REQUEST => &mut asked_gss,
            CANCEL_REQUEST => {
                cancel(frame.body, registry);
                return Ok(None);
            }
            _ => return startup(frame).map(Some),
        };
        if std::mem::replace(asked, true) {
            return Err(Report::fatal("08P01", "encryption was asked for twice"));
        }
        if wire.has_unread_input() {
            let message = "received unencrypted data after an encryption request";
            return Err(Report::fatal("08P01", message)
                .with_detail("The client may be attacked by someone in the middle."));
        }
        wire.output.put_u8(b'N');
        if wire.flush().await.is_err() {
            return Ok(None);
        }
    }
}

fn cancel(body: Bytes, registry: &Registry) {
    // The key is read as bytes of any length, which also reads the 4 bytes of protocol 3.0.
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    let length = body.len() + 4;
    match CancelRequest::decode_body(&mut BytesMut::from(body), length, &context) {
        Ok(request) => registry.cancel(request.pid, &request.secret_key),
        Err(error) => tracing::debug!(%error, "a cancel request could not be read"),
    }
}

/// Reads a `StartupMessage`.
fn startup(frame: Frame) -> Result<Login, Report> {
    let length = frame.body.len() + 4;
    let mut body = BytesMut::from(frame.body);
    let (major, minor) = match body.get(..4) {
        Some(mut word) => (word.get_u16(), word.get_u16()),
        None => (0, 0),
    };
    if major != 3 {
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
        return Err(Report::fatal("0A000", message));
    }
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    let message = Startup::decode_body(&mut body, length, &context)
        .map_err(|_invalid| Report::fatal("08P01", "invalid startup packet layout"))?;

    let mut login = Login {
        user: DEFAULT_USER.to_owned(),
        database: String::new(),
        settings: Vec::new(),
        minor,
        unsupported: Vec::new(),
    };
    for (name, value) in message.parameters {
        match name.as_str() {
            "user" => login.user = value,
            "database" => login.database = value,
            "options" => login.settings.extend(options(&value)?),
            "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
            "replication" => {
                return Err(Report::fatal("0A000", "replication connections are not supported"));
            }
            "client_encoding" => encoding(&value)?,
            name if name.starts_with("_pq_.") => login.unsupported.push(name.to_owned()),
            _ => login.settings.push((name, value)),
        }
    }
    Ok(login)
}

/// Text travels as UTF-8; `SQL_ASCII` asks for no conversion, which is the same.
fn encoding(name: &str) -> Result<(), Report> {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    if matches!(plain.as_str(), "utf8" | "unicode" | "sqlascii") {
        return Ok(());
    }
    let message = format!("invalid value for parameter \"client_encoding\": \"{name}\"");
    Err(Report::fatal("22023", message).with_hint("Only UTF8 is supported."))
}

/// Settings in the form of a command line: `-c name=value`, `-cname=value` or `--name=value`; a
/// backslash keeps the character after it.
fn options(text: &str) -> Result<Vec<(String, String)>, Report> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let kept = characters.next().unwrap_or('\\');
                words.last_mut().expect("there is always a word").push(kept);
            }
            c if c.is_ascii_whitespace() => words.push(String::new()),
            c => words.last_mut().expect("there is always a word").push(c),
        }
    }
    let mut settings = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next()
        } else {
            word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).map(ToOwned::to_owned)
        };
        let pair = setting.as_deref().and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair else {
            let message = format!("invalid command-line argument for server process: {word}");
            return Err(Report::fatal("42601", message));
        };
        settings.push((name.trim().replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Lets a client in: a place among the connections, a session, the messages that end the login.
fn enter(
    wire: &mut Wire,
    login: Login,
    registry: &Arc<Registry>,
    database: &Database,
) -> Result<(levada_engine::client::Session, crate::pg::cancel::Registration), Report> {
    // Clients that name no database mean one named like the user.
    if !(login.database.is_empty() || login.database == DATABASE || login.database == login.user) {
        let message = format!("database \"{}\" does not exist", login.database);
        return Err(Report::fatal("3D000", message)
            .with_hint(format!("Connect to database \"{DATABASE}\".")));
    }
    let minor = if login.minor >= 2 { 2 } else { 0 };
    let key_bytes = if minor == 0 { 4 } else { 32 };
    let Some(registration) = registry.register(key_bytes) else {
        return Err(Report::fatal("53300", "sorry, too many clients already"));
    };
    if login.minor != minor || !login.unsupported.is_empty() {
        let newest = if login.minor > 2 { NEWEST_PROTOCOL } else { 3 << 16 | i32::from(minor) };
        wire.put(&NegotiateProtocolVersion::new(newest, login.unsupported));
    }
    let options = SessionOptions {
        user: login.user,
        database: DATABASE.to_owned(),
        settings: login.settings,
        pid: registration.pid(),
        client_address: wire.peer(),
        interrupt: Some(registration.interrupt()),
    };
    let fatal = |error| Report { severity: Severity::Fatal, ..Report::from(error) };
    options.check().map_err(fatal)?;
    let session = database.connect(options);
    wire.put(&Authentication::Ok);
    wire.put(&BackendKeyData::new(registration.pid(), registration.key()));
    Ok((session, registration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_like_a_command_line() {
        let read = options(r"-c search_path=a\ b --work-mem=64MB -cjit=off").expect("valid");
        let expected = [("search_path", "a b"), ("work_mem", "64MB"), ("jit", "off")];
        let expected: Vec<_> =
            expected.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        assert_eq!(read, expected, "three forms");
        assert!(options("-x").is_err(), "unknown switch");
    }
}
