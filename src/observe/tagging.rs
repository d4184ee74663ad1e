//! Tags of the whole account in a few calls. The index behind them lags: what
//! it says is a reason to look, and never decides anything.

use std::collections::BTreeMap;

use aws_sdk_resourcegroupstagging::types as sdk;

use crate::aws::{Aws, Error, operations};
use crate::model::spec::{Arn, Tags};

/// Resources on a page; the ceiling of the API.
const PAGE: i32 = 100;
/// What is asked for: load balancers, listeners, rules and target groups.
const TYPE: &str = "elasticloadbalancing";

/// All of Elastic Load Balancing that carries a tag with this value, with its
/// tags; those that AWS itself puts (`aws:…`) left out.
pub async fn resources(aws: &Aws, key: &str, value: &str) -> Result<BTreeMap<Arn, Tags>, Error> {
    let filter = sdk::TagFilter::builder().key(key).values(value).build();
    let mut all = BTreeMap::new();
    let mut token = None;
    loop {
        let call = aws
            .tagging
            .get_resources()
            .tag_filters(filter.clone())
            .resource_type_filters(TYPE)
            .resources_per_page(PAGE)
            .set_pagination_token(token)
            .send();
        let page = aws.call(&operations::GET_RESOURCES, call).await?;
        for resource in page.resource_tag_mapping_list() {
            let Some(arn) = resource.resource_arn().map(Arn::from) else {
                continue;
            };
            let tags = resource.tags().iter();
            let tags = tags.filter(|tag| !tag.key().starts_with("aws:"));
            let tags = tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
            all.insert(arn, tags.collect());
        }
        token = page.pagination_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}
