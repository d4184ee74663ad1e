//! EC2: what an account is built from: IPv6 ranges, images, client tokens.

use crate::support::Aws;

#[tokio::test]
async fn ipv6_ranges_of_vpcs_and_subnets() {
    let aws = Aws::start().await;
    let asked = [
        ("CidrBlock", "10.1.0.0/16"),
        ("AmazonProvidedIpv6CidrBlock", "true"),
    ];
    let first = aws.ec2("CreateVpc", &asked).await.ok();
    let second = aws.ec2("CreateVpc", &asked).await.ok();
    let (range, other) = (first.one("ipv6CidrBlock"), second.one("ipv6CidrBlock"));
    assert!(range.ends_with("::/56"), "{range}");
    assert_ne!(range, other);

    let vpc = first.one("vpcId");
    let mut subnets = Vec::new();
    for cidr in ["10.1.0.0/24", "10.1.1.0/24"] {
        let created = aws
            .ec2("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", cidr)])
            .await
            .ok();
        assert!(created.all("ipv6CidrBlock").is_empty());
        subnets.push(created.one("subnetId"));
    }
    let associate = |subnet: String, cidr: String| {
        let aws = &aws;
        async move {
            let parameters = [
                ("SubnetId", subnet.as_str()),
                ("Ipv6CidrBlock", cidr.as_str()),
            ];
            aws.ec2("AssociateSubnetCidrBlock", &parameters).await
        }
    };
    let of_subnet = range.replace("/56", "/64");
    for (cidr, code) in [
        (range.replace("/56", "/62"), "InvalidSubnet.Range"),
        (other.replace("/56", "/64"), "InvalidSubnet.Range"),
        ("10.1.0.0/24".to_owned(), "InvalidParameterValue"),
    ] {
        let reply = associate(subnets[0].clone(), cidr).await;
        assert_eq!(reply.code(), code, "{}", reply.body);
    }
    let done = associate(subnets[0].clone(), of_subnet.clone()).await.ok();
    assert_eq!(done.one("ipv6CidrBlock"), of_subnet);
    let again = associate(subnets[1].clone(), of_subnet.clone()).await;
    assert_eq!(again.code(), "InvalidSubnet.Conflict");
    let read = aws
        .ec2("DescribeSubnets", &[("SubnetId.1", &subnets[0])])
        .await
        .ok();
    assert_eq!(read.one("ipv6CidrBlock"), of_subnet);

    let table = aws
        .ec2("CreateRouteTable", &[("VpcId", &vpc)])
        .await
        .ok()
        .one("routeTableId");
    let gateway = aws.ec2("CreateInternetGateway", &[]).await.ok();
    let gateway = gateway.one("internetGatewayId");
    let attach = [("InternetGatewayId", gateway.as_str()), ("VpcId", &vpc)];
    aws.ec2("AttachInternetGateway", &attach).await.ok();
    let route = [
        ("RouteTableId", table.as_str()),
        ("DestinationIpv6CidrBlock", "::/0"),
        ("GatewayId", &gateway),
    ];
    aws.ec2("CreateRoute", &route).await.ok();
    let read = aws
        .ec2("DescribeRouteTables", &[("RouteTableId.1", &table)])
        .await
        .ok();
    assert_eq!(
        read.all("destinationIpv6CidrBlock"),
        [range.as_str(), "::/0"]
    );
    assert_eq!(read.all("destinationCidrBlock"), ["10.1.0.0/16"]);
}

#[tokio::test]
async fn a_client_token_makes_one_thing() {
    let aws = Aws::start().await;
    let make = |vpc: &str, token: &str| {
        let (aws, vpc, token) = (&aws, vpc.to_owned(), token.to_owned());
        async move {
            let parameters = [("VpcId", vpc.as_str()), ("ClientToken", token.as_str())];
            aws.ec2("CreateRouteTable", &parameters).await
        }
    };
    let vpc = aws.world.vpc.clone();
    let first = make(&vpc, "t-1").await.ok().one("routeTableId");
    assert_eq!(make(&vpc, "t-1").await.ok().one("routeTableId"), first);
    assert_ne!(make(&vpc, "t-2").await.ok().one("routeTableId"), first);
    let reply = make("vpc-0123456789abcdef0", "t-1").await;
    assert_eq!(reply.code(), "IdempotentParameterMismatch");

    let image = aws
        .ec2("DescribeImages", &[("Owner.1", "amazon")])
        .await
        .ok()
        .one("imageId");
    let run = [
        ("ImageId", image.as_str()),
        ("SubnetId", aws.world.private_subnets[0].as_str()),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("ClientToken", "t-3"),
    ];
    let instance = aws.ec2("RunInstances", &run).await.ok().one("instanceId");
    let again = aws.ec2("RunInstances", &run).await.ok().one("instanceId");
    assert_eq!(instance, again);
}

#[tokio::test]
async fn images_are_those_of_amazon() {
    let aws = Aws::start().await;
    let of_others = aws.ec2("DescribeImages", &[("Owner.1", "self")]).await.ok();
    assert!(of_others.all("imageId").is_empty());
    let unknown = [("ImageId.1", "ami-00000000000000000")];
    let reply = aws.ec2("DescribeImages", &unknown).await;
    assert_eq!(reply.code(), "InvalidAMIID.NotFound");
}
