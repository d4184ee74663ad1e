//! ACM and STS.

use hyper::Method;
use serde_json::json;

use crate::support::Aws;

/// A fresh certificate for `shop.example.net` and `*.shop.example.net` with its key, as PEM.
fn shop() -> (String, String) {
    let names = ["shop.example.net", "*.shop.example.net"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The body of an import of that certificate.
pub fn import() -> serde_json::Value {
    let (certificate, key) = shop();
    json!({ "Certificate": base64(&certificate), "PrivateKey": base64(&key) })
}

/// Requests a certificate and makes the record that proves its name; answers
/// the ARN.
pub async fn requested(aws: &Aws, name: &str) -> String {
    let requested = aws
        .acm(
            "RequestCertificate",
            json!({
                "DomainName": name,
                "KeyAlgorithm": "EC_prime256v1",
                "ValidationMethod": "DNS",
                "Tags": [{ "Key": "a", "Value": "1" }],
            }),
        )
        .await
        .ok()
        .json();
    let described = aws.acm("DescribeCertificate", requested.clone()).await;
    let described = described.ok().json();
    let record = &described["Certificate"]["DomainValidationOptions"][0]["ResourceRecord"];
    let part = |name: &str| record[name].as_str().unwrap();
    let change = format!(
        "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{}</Name><Type>CNAME</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>{}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>",
        part("Name"),
        part("Value"),
    );
    let zone = aws.world.hosted_zones[0].clone();
    aws.change(&zone, &change).await.ok();
    requested["CertificateArn"].as_str().unwrap().to_owned()
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

#[tokio::test]
async fn certificates_are_requested_listed_and_deleted() {
    let aws = Aws::start().await;
    let arn = requested(&aws, "shop.example.com").await;
    let one = json!({ "CertificateArn": arn });
    let described = aws
        .acm("DescribeCertificate", one.clone())
        .await
        .ok()
        .json();
    assert_eq!(described["Certificate"]["Status"], "PENDING_VALIDATION");
    aws.let_time_pass();
    let described = aws
        .acm("DescribeCertificate", one.clone())
        .await
        .ok()
        .json();
    assert_eq!(described["Certificate"]["Status"], "ISSUED");
    // Only RSA keys are listed unless the others are asked for.
    let count = |body: serde_json::Value| {
        let aws = &aws;
        async move {
            let listed = aws.acm("ListCertificates", body).await.ok().json();
            listed["CertificateSummaryList"].as_array().unwrap().len()
        }
    };
    assert_eq!(count(json!({})).await, 1);
    assert_eq!(
        count(json!({ "Includes": { "keyTypes": ["RSA_2048", "EC_prime256v1"] } })).await,
        2
    );
    assert_eq!(
        count(json!({ "CertificateStatuses": ["EXPIRED"] })).await,
        0
    );
    let tags = aws
        .acm("ListTagsForCertificate", one.clone())
        .await
        .ok()
        .json();
    assert_eq!(tags["Tags"][0]["Value"], "1");
    aws.acm("DeleteCertificate", one.clone()).await.ok();
    let gone = aws.acm("DescribeCertificate", one).await;
    assert_eq!(
        (gone.status, gone.code().as_str()),
        (400, "ResourceNotFoundException")
    );
}

#[tokio::test]
async fn certificates_are_imported() {
    let aws = Aws::start().await;
    let (certificate, key) = shop();
    let import = json!({ "Certificate": base64(&certificate), "PrivateKey": base64(&key) });
    let imported = aws.acm("ImportCertificate", import).await.ok().json();
    let described = aws.acm("DescribeCertificate", imported).await.ok().json();
    let shown = &described["Certificate"];
    assert_eq!(shown["DomainName"], "shop.example.net");
    assert_eq!(
        shown["SubjectAlternativeNames"],
        json!(["shop.example.net", "*.shop.example.net"])
    );
    assert_eq!(shown["KeyAlgorithm"], "EC_prime256v1");
    assert_eq!(shown["Type"], "IMPORTED");
    assert!(shown["NotAfter"].as_f64().unwrap() > 6e10);
    for body in [
        json!({ "Certificate": base64("x"), "PrivateKey": base64(&key) }),
        json!({ "Certificate": base64(&certificate), "PrivateKey": base64("x") }),
        json!({ "Certificate": base64(&certificate) }),
    ] {
        let reply = aws.acm("ImportCertificate", body).await;
        assert_eq!(reply.code(), "ValidationException");
    }
    let reply = aws
        .acm(
            "ImportCertificate",
            json!({ "Certificate": "%", "PrivateKey": base64(&key) }),
        )
        .await;
    assert_eq!(reply.code(), "SerializationException");
}

#[tokio::test]
async fn temporary_keys() {
    let aws = Aws::start().await;
    let identity = aws.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(identity.one("Account"), "123456789012");
    let role = [
        ("RoleArn", "arn:aws:iam::123456789012:role/controller"),
        ("RoleSessionName", "sandbox"),
    ];
    let stranger = aws.sts("AssumeRole", &role).await;
    assert_eq!(stranger.code(), "AccessDenied");
    let known = r#"[{"arn": "arn:aws:iam::123456789012:role/controller"},
                    {"arn": "arn:aws:iam::123456789012:role/x"}]"#;
    aws.sim(Method::POST, "roles", known).await.ok();
    let assumed = aws.sts("AssumeRole", &role).await.ok();
    assert!(assumed.one("AccessKeyId").starts_with("ASIA"));

    // Unsigned, by a token of the cluster.
    aws.sim(Method::POST, "outside", r#"{"issuers": ["https://i"]}"#)
        .await
        .ok();
    let token = |exp: u64| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let claims = json!({ "sub": "system:serviceaccount:a:b", "iss": "https://i", "aud": ["sts.amazonaws.com"], "exp": exp });
        format!("{}.{}.c2ln", part(json!({ "alg": "RS256" })), part(claims))
    };
    for (token, code) in [
        (token(4_000_000_000), ""),
        (token(1), "ExpiredTokenException"),
        ("nonsense".to_owned(), "InvalidIdentityToken"),
    ] {
        let body = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fx&RoleSessionName=s1&WebIdentityToken={token}"
        );
        let reply = aws.send(Method::POST, "/", &[], body).await.unwrap();
        assert_eq!(reply.code(), code, "{}", reply.body);
        if code.is_empty() {
            assert_eq!(
                reply.one("SubjectFromWebIdentityToken"),
                "system:serviceaccount:a:b"
            );
        }
    }
}
