//! HTTP/2, frame by frame (RFC 9113), so that a test can also send frames that no client library would.

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const REFUSED_STREAM: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The preface with empty settings.
pub(super) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A GET of `path` on `stream`, in HPACK's static table (RFC 7541, appendix A).
pub(super) fn request(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86]; // :method GET, :scheme http
    for (name, value) in [(4, path), (1, "localhost")] {
        // :path and :authority, not indexed
        fields.extend([name, u8::try_from(value.len()).unwrap()]);
        fields.extend(value.as_bytes());
    }
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields)
}

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

async fn read_frame(connection: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).await?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    connection.read_exact(&mut payload).await?;
    Ok(Frame { kind: head[3], flags: head[4], payload })
}

/// The body of the next answer, which must be a success.
pub(super) async fn read_body(connection: &mut (impl AsyncRead + Unpin)) -> String {
    let mut body = Vec::new();
    loop {
        let frame = soon(read_frame(connection)).await.unwrap();
        match frame.kind {
            HEADERS => assert_eq!(frame.payload[0], 0x88, "not :status 200"),
            DATA => body.extend(frame.payload),
            _ => continue,
        }
        if frame.flags & END_STREAM != 0 {
            return String::from_utf8(body).unwrap();
        }
    }
}

/// The error code of the server's GOAWAY, if it sends one before the connection ends.
async fn read_goaway(connection: &mut (impl AsyncRead + Unpin)) -> Option<u8> {
    while let Ok(frame) = soon(read_frame(connection)).await {
        if frame.kind == GOAWAY {
            return Some(frame.payload[7]);
        }
    }
    None
}

/// The error code with which the server ends a stream or the connection.
async fn read_goaway_or_reset(connection: &mut (impl AsyncRead + Unpin)) -> Option<u8> {
    while let Ok(frame) = soon(read_frame(connection)).await {
        match frame.kind {
            GOAWAY => return Some(frame.payload[7]),
            RST_STREAM => return Some(frame.payload[3]),
            _ => {}
        }
    }
    None
}

async fn connect(server: &Running) -> TcpStream {
    let mut connection = server.connect().await;
    connection.write_all(&preface()).await.unwrap();
    connection
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let server = Running::plain(PATIENT).await;
    let mut connection = connect(&server).await;
    let mut attack = Vec::new();
    for stream in (1..2000).step_by(2) {
        attack.extend(request(stream, "/wait"));
        attack.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // The server may close the connection before the end.
    let _ended = connection.write_all(&attack).await;
    let goaway = read_goaway(&mut connection).await;
    assert!(matches!(goaway, Some(0xb) | None), "ENHANCE_YOUR_CALM, or gone already: {goaway:?}");
    server.answers_a_new_connection().await;
}

#[tokio::test]
async fn a_header_that_never_ends_ends_the_connection() {
    let server = Running::plain(PATIENT).await;
    let (mut reading, mut writing) = connect(&server).await.into_split();
    let flood = tokio::spawn(async move {
        let mut next = frame(HEADERS, 0, 1, &[0x82; 1000]);
        while writing.write_all(&next).await.is_ok() {
            next = frame(CONTINUATION, 0, 1, &[0x82; 16_000]);
        }
    });
    read_to_close(&mut reading).await;
    soon(flood).await.unwrap();
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let server = Running::plain(PATIENT).await;
    let mut connection = connect(&server).await;
    let requests: Vec<u8> = (0..110).flat_map(|n| request(2 * n + 1, "/wait")).collect();
    connection.write_all(&requests).await.unwrap();
    for _ in 0..10 {
        let reset = loop {
            let frame = soon(read_frame(&mut connection)).await.unwrap();
            if frame.kind == RST_STREAM {
                break frame;
            }
        };
        assert_eq!(reset.payload, [0, 0, 0, REFUSED_STREAM]);
    }
    server.signals.release.notify_one();
    assert_eq!(read_body(&mut connection).await, "at last");
}

/// The server does not buffer answers for a peer that never reads them: it stops reading, then closes the connection.
async fn unread_answers_end_the_connection(asked: Vec<u8>) {
    let server = Running::plain(Deadlines { stall: SHORT, ..PATIENT }).await;
    let mut connection = connect(&server).await;
    connection.write_all(&request(1, "/")).await.unwrap();
    read_body(&mut connection).await;
    let flood = asked.repeat(1000);
    let mut sent = 0;
    soon(async {
        while connection.write_all(&flood).await.is_ok() {
            sent += flood.len();
        }
    })
    .await;
    assert!(sent < 2 * LARGE, "{sent} bytes were read");
}

#[tokio::test]
async fn pings_whose_answers_are_never_read_end_the_connection() {
    unread_answers_end_the_connection(frame(PING, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn settings_whose_acknowledgements_are_never_read_end_the_connection() {
    unread_answers_end_the_connection(frame(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test]
async fn pings_and_settings_do_not_extend_the_idle_deadline() {
    let server = Running::plain(Deadlines { idle: SHORT, ..PATIENT }).await;
    for kept_with in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut connection = connect(&server).await;
        connection.write_all(&request(1, "/")).await.unwrap();
        read_body(&mut connection).await;
        let (mut reading, mut writing) = connection.into_split();
        let flood = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while writing.write_all(&kept_with).await.is_ok() {
                pace.tick().await;
            }
        });
        read_to_close(&mut reading).await;
        soon(flood).await.unwrap();
    }
}

/// The peer gives no window for the answers (RFC 9113 §6.9.2), and keeps the connection busy with other streams.
#[tokio::test]
async fn an_answer_without_a_window_ends_even_a_busy_connection() {
    let server = Running::plain(Deadlines { answer: SHORT, ..PATIENT }).await;
    let mut connection = server.connect().await;
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])); // SETTINGS_INITIAL_WINDOW_SIZE 0
    connection.write_all(&preface).await.unwrap();
    connection.write_all(&request(1, "/")).await.unwrap();
    let (mut reading, mut writing) = connection.into_split();
    let busy = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        for stream in (3..).step_by(2) {
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            if writing.write_all(&[request(stream, "/"), reset].concat()).await.is_err() {
                return;
            }
            pace.tick().await;
        }
    });
    read_to_close(&mut reading).await;
    soon(busy).await.unwrap();
}

#[tokio::test]
async fn more_than_the_window_ends_the_connection() {
    let server = Running::plain(PATIENT).await;
    let (mut reading, mut writing) = connect(&server).await.into_split();
    let mut post = vec![0x83, 0x86]; // :method POST, :scheme http
    for (name, value) in [(4, "/wait"), (1, "localhost")] {
        post.extend([name, u8::try_from(value.len()).unwrap()]);
        post.extend(value.as_bytes());
    }
    writing.write_all(&frame(HEADERS, END_HEADERS, 1, &post)).await.unwrap();
    let flood = tokio::spawn(async move {
        let data = frame(DATA, 0, 1, &[0; 16_000]);
        while writing.write_all(&data).await.is_ok() {}
    });
    let code = read_goaway_or_reset(&mut reading).await;
    assert_eq!(code, Some(3), "FLOW_CONTROL_ERROR");
    server.signals.release.notify_one();
    flood.abort();
}

#[tokio::test]
async fn a_client_with_prior_knowledge_is_answered() {
    let server = Running::plain(Deadlines::default()).await;
    let mut connection = connect(&server).await;
    for stream in [1, 3] {
        connection.write_all(&request(stream, "/")).await.unwrap();
        let body = read_body(&mut connection).await;
        assert!(body.starts_with("HTTP/2.0 from socket://127.0.0.1:"), "{body}");
    }
}

#[tokio::test]
async fn a_client_without_a_request_is_closed_at_the_header_deadline() {
    let server = Running::plain(Deadlines { header: SHORT, ..PATIENT }).await;
    let mut connection = connect(&server).await;
    read_to_close(&mut connection).await;
}

#[tokio::test]
async fn a_kept_connection_outlives_the_header_deadline() {
    let server = Running::plain(Deadlines { header: SHORT, ..PATIENT }).await;
    let mut kept = connect(&server).await;
    kept.write_all(&request(1, "/")).await.unwrap();
    read_body(&mut kept).await;
    kept.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap(); // bytes that begin no request
    let mut silent = server.connect().await;
    read_to_close(&mut silent).await;
    kept.write_all(&request(3, "/")).await.unwrap();
    read_body(&mut kept).await;
}

#[tokio::test]
async fn an_idle_connection_gets_a_goaway() {
    let server = Running::plain(Deadlines { idle: SHORT, ..PATIENT }).await;
    let mut connection = connect(&server).await;
    connection.write_all(&request(1, "/")).await.unwrap();
    read_body(&mut connection).await;
    assert_eq!(read_goaway(&mut connection).await, Some(0)); // NO_ERROR
    read_to_close(&mut connection).await;
}

#[tokio::test]
async fn a_stream_in_flight_is_answered_after_the_stop() {
    let server = Running::plain(PATIENT).await;
    let mut connection = connect(&server).await;
    connection.write_all(&request(1, "/wait")).await.unwrap();
    soon(server.signals.entered.notified()).await;
    let mut idle = connect(&server).await;
    idle.write_all(&request(1, "/")).await.unwrap();
    read_body(&mut idle).await;

    server.stop.send(()).unwrap();
    read_goaway(&mut idle).await;
    server.signals.release.notify_one();
    assert_eq!(read_body(&mut connection).await, "at last");
}

#[tokio::test]
async fn a_stream_that_outlasts_the_drain_is_dropped() {
    let server = Running::start(PATIENT, None, SHORT).await;
    let mut connection = connect(&server).await;
    connection.write_all(&request(1, "/wait")).await.unwrap();
    soon(server.signals.entered.notified()).await;
    server.stop.send(()).unwrap();
    soon(server.served).await.unwrap();
    // Streams are separate tasks; they must end with the connection.
    soon(async {
        while Arc::strong_count(&server.signals) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
