//! Records that are not ours, and ours that others have changed.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_never_written_and_we_follow_when_it_goes() {
    let scene = scene("dns-foreign").await;
    let ns = "dns-foreign";
    let zone = scene.ids.hosted_zones[0].clone();
    let owner = "\"heritage=external-dns,external-dns/owner=rival,external-dns/resource=x\"";
    let foreign = [
        simple("hand.example.com", "A", "192.0.2.1"),
        simple("name.example.com", "CNAME", "elsewhere.example.org."),
        simple("_albc-a.rival.example.com", "TXT", owner),
    ];
    edit(&scene, &zone, ChangeAction::Create, &foreign);
    let before = scene.account(|state| state.hosted_zone(&zone).unwrap().records.clone());
    let controller = start(&scene, &WATCHFUL).await;
    let hosts = ["hand.example.com", "name.example.com", "rival.example.com"];
    scene.apply(&public("web", &hosts)).await;
    scene
        .warned(ns, "web", &["RecordConflict", hosts[0], "192.0.2.1", &zone])
        .await;
    scene
        .warned(ns, "web", &["RecordConflict", hosts[1], "CNAME"])
        .await;
    scene
        .warned(ns, "web", &["RecordConflict", hosts[2], "owner rival"])
        .await;
    said(&scene, "web", hosts[0], "refused: an A record (192.0.2.1)").await;
    let after = scene.account(|state| state.hosted_zone(&zone).unwrap().records.clone());
    assert_eq!(before, after);
    assert!(first(&scene, "ChangeResourceRecordSets").is_none());
    scene.address(ns, "web").await;

    edit(&scene, &zone, ChangeAction::Delete, &foreign);
    for host in hosts {
        leads(&scene, &zone, host, "web").await;
        said(&scene, "web", host, "in sync").await;
    }
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_record_of_ours_is_set_right_at_verification() {
    let scene = scene("dns-drift").await;
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &WATCHFUL).await;
    scene.apply(&public("web", &["drift.example.com"])).await;
    leads(&scene, &zone, "drift.example.com", "web").await;
    said(&scene, "web", "drift.example.com", "in sync").await;
    scene.forget_calls();
    let by_hand = simple("drift.example.com", "A", "192.0.2.7");
    edit(&scene, &zone, ChangeAction::Upsert, &[by_hand]);
    leads(&scene, &zone, "drift.example.com", "web").await;
    let batch = ["DELETE A drift.example.com", "CREATE A drift.example.com"];
    changed(&scene, &[&batch]).await;
    drop(controller);
}
