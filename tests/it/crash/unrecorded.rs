//! Without the CRD nothing in Kubernetes says what a killed process was about:
//! what it left is found in AWS.

use futures::future::join_all;

use super::Stage;
use super::blows::told_on;
use super::stories::Story;
use crate::support::{Blow, Proxy, WATCHFUL};

/// Where the API server serves our custom resources.
const CUSTOM_RESOURCES: &str = "/apis/ingress.k8s.aws/";

/// As [`super::blows`], without the CRD.
async fn told(story: Story, blow: Blow) -> [u64; 2] {
    let label = format!("crd-{blow:?}").to_lowercase();
    let (mut stage, controller) = Stage::set_behind(story, &label, async |scene| {
        let proxy = Proxy::start(scene.client.clone()).await;
        proxy.without(CUSTOM_RESOURCES);
        Some(proxy)
    })
    .await;
    controller.kill().await;
    stage.arguments = &WATCHFUL;
    let controller = stage.start(&[]);
    stage.scene.listed(&controller).await;
    told_on(stage, controller, blow).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_aws_without_the_crd() {
    let stories = [
        (Story::Edited, Blow::Before, [8, 10]),
        (Story::Edited, Blow::After, [8, 10]),
        (Story::Left, Blow::After, [4, 6]),
    ];
    let told = stories.map(|(story, blow, _)| told(story, blow));
    for ((story, blow, least), met) in stories.iter().zip(join_all(told).await) {
        let enough = met[0] >= least[0] && met[1] >= least[1];
        assert!(enough, "{story:?} {blow:?} meets only {met:?}");
    }
}
