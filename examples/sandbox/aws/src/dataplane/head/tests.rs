use super::*;

fn screened(head: &str) -> Head {
    assert_eq!(end(head.as_bytes()), Some(head.len()), "{head:?}");
    screen(head.as_bytes())
}

fn carried(head: &str) -> String {
    String::from_utf8_lossy(&screened(head).bytes).into_owned()
}

#[test]
fn a_head_ends_with_its_first_empty_line() {
    assert_eq!(end(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nrest"), Some(27));
    assert_eq!(end(b"\r\n\r\nGET / HTTP/1.1\n\nrest"), Some(20));
    assert_eq!(end(b"GET / HTTP/1.1\r\nhost: a\r\n"), None);
    assert_eq!(end(b"\r\n"), None);
}

#[test]
fn what_is_in_order_goes_on_as_it_came() {
    for head in [
        "GET /a?b=%20c HTTP/1.1\r\nHost: a.b\r\nX-Mine: 1 : 2\r\n\r\n",
        "POST http://a.b/x HTTP/1.0\r\nContent-Length: 7\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a.b\r\n\r\n",
    ] {
        let got = screened(head);
        assert_eq!(got.screened, Screened::default(), "{head:?}");
        assert_eq!(String::from_utf8_lossy(&got.bytes), head);
    }
}

#[test]
fn refusals_and_deviations() {
    use Deviation as D;
    let long = "a".repeat(LONGEST_LINE);
    let cases: Vec<(String, Option<u16>, Vec<D>)> = vec![
        ("GET /\r\n".into(), Some(400), vec![D::MissingUri]),
        ("G(T / HTTP/1.1\r\n".into(), Some(400), vec![D::BadMethod]),
        (
            "GET / HTTP/2.0\r\n".into(),
            Some(505),
            vec![D::NonCompliantVersion],
        ),
        (
            "PRI * HTTP/2.0\r\n".into(),
            Some(505),
            vec![D::NonCompliantVersion],
        ),
        ("GET / HTTX/1.1\r\n".into(), Some(400), vec![D::BadVersion]),
        (
            "GET /a b HTTP/1.1\r\n".into(),
            Some(400),
            vec![D::SpaceInUri],
        ),
        (
            "GET /a\u{1} HTTP/1.1\r\n".into(),
            Some(400),
            vec![D::AmbiguousUri],
        ),
        ("GET /a\0 HTTP/1.1\r\n".into(), Some(400), vec![D::BadUri]),
        ("GET shop HTTP/1.1\r\n".into(), Some(400), vec![]),
        ("CONNECT a.b:443 HTTP/1.1\r\n".into(), Some(400), vec![]),
        (format!("GET /{long} HTTP/1.1\r\n"), Some(414), vec![]),
        (
            format!("GET / HTTP/1.1\r\nx: {long}\r\n"),
            Some(400),
            vec![],
        ),
        (
            format!(
                "GET / HTTP/1.1\r\n{}",
                format!("x: {}\r\n", &long[..9_000]).repeat(8)
            ),
            Some(400),
            vec![],
        ),
        (
            "GET / HTTP/1.1\r\na: b\0c\r\n".into(),
            Some(400),
            vec![D::BadHeader, D::NonCompliantHeader],
        ),
        (
            "GET / HTTP/1.1\r\na: b\u{1}c\r\n".into(),
            Some(400),
            vec![D::NonCompliantHeader],
        ),
        (
            "GET / HTTP/1.1\r\na: ü\r\n".into(),
            None,
            vec![D::NonCompliantHeader],
        ),
        (
            "GET / HTTP/1.1\r\na(b: c\r\n".into(),
            None,
            vec![D::NonCompliantHeader],
        ),
        (
            "GET / HTTP/1.1\r\n: c\r\n".into(),
            None,
            vec![D::EmptyHeader],
        ),
        (
            "GET / HTTP/1.1\na: b\n".into(),
            None,
            vec![D::NonCrLfLineTermination],
        ),
        (
            "GET / HTTP/1.1\r\nContent_Length: 1\r\n".into(),
            None,
            vec![D::SuspiciousHeader],
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length: 0\r\n".into(),
            None,
            vec![D::GetHeadZeroContentLength],
        ),
        (
            "HEAD / HTTP/1.1\r\nContent-Length: 2\r\n".into(),
            None,
            vec![D::UndefinedContentLengthSemantics],
        ),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".into(),
            None,
            vec![D::UndefinedTransferEncodingSemantics],
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n".into(),
            Some(400),
            vec![D::BadContentLength],
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n".into(),
            Some(400),
            vec![D::MultipleContentLength],
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n".into(),
            None,
            vec![D::DuplicateContentLength],
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n".into(),
            Some(501),
            vec![D::BadTransferEncoding],
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
                .into(),
            Some(400),
            vec![D::MultipleTransferEncodingChunked],
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n".into(),
            Some(400),
            vec![D::BadTransferEncoding],
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n".into(),
            None,
            vec![D::BothTeClPresent],
        ),
    ];
    for (head, status, deviations) in cases {
        let got = screened(&format!("{head}\r\n")).screened;
        assert_eq!(got.refused.map(|it| it.status), status, "{head:?}");
        assert_eq!(got.deviations, deviations, "{head:?}");
    }
}

#[test]
fn the_framing_has_one_reading() {
    for (headers, framing, kept) in [
        ("", Framing::Length(0), ""),
        (
            "Content-Length: 5\r\ncontent-length: 5\r\n",
            Framing::Length(5),
            "Content-Length: 5\r\n",
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n",
            Framing::Chunked,
            "transfer-encoding: chunked\r\n",
        ),
        (
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            Framing::Length(5),
            "Content-Length: 5\r\n",
        ),
        (
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
            Framing::Switch,
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
        ),
        (
            "Upgrade: websocket\r\n",
            Framing::Length(0),
            "Upgrade: websocket\r\n",
        ),
    ] {
        let head = format!("POST / HTTP/1.1\r\n{headers}\r\n");
        assert_eq!(screened(&head).framing, framing, "{headers:?}");
        assert_eq!(carried(&head), format!("POST / HTTP/1.1\r\n{kept}\r\n"));
    }
}

#[test]
fn a_line_without_a_colon_gets_one() {
    let head = "GET / HTTP/1.1\r\nA: b\r\n more\r\nnaked\r\n\r\n";
    let deviations = [Deviation::MultilineHeader, Deviation::MissingHeaderColon];
    assert_eq!(screened(head).screened.deviations, deviations);
    assert_eq!(
        carried(head),
        "GET / HTTP/1.1\r\nA: b\r\nmore: \r\nnaked: \r\n\r\n"
    );
}
