"""A backend's checkout in miniature that has every oddity a reader of serverless.yml must live with."""

from __future__ import annotations

from pathlib import Path

LAMBDA = """\
service: amplify-${self:custom.stageVars.DEP_NAME}-lambda
frameworkVersion: '3'
custom:
  stageVars: ${file(../var/${sls:stage}-var.yml)}
  depName: ${self:custom.stageVars.DEP_NAME}
  prefix: ${self:custom.names.prefix, 'amplify'}
provider:
  name: aws
  runtime: python3.11
  stage: ${opt:stage, 'dev'}
  environment:
    DEP_REGION: ${self:custom.stageVars.DEP_REGION}
    # Locally Defined Variables
    # another comment: does not end it
    ACCOUNTS_DYNAMO_TABLE: ${self:service}-${sls:stage}-accounts   # a trailing comment

    CHAT_USAGE_DYNAMO_TABLE: "${self:service}-${self:provider.stage}-chat-usage"
    HASH_IN_VALUE: a#b
    QUOTED: 'it''s # quoted'
    FOLDED: >-
      one
      two
    FLAG: True
    PORT: 5432
    PREFIXED: ${self:custom.prefix}-${self:custom.depName}
    TWICE: first
    TWICE: second
    # Imported Variables
    COST_CALCULATIONS_DYNAMO_TABLE: ${ssm:/amplify/${sls:stage}/${self:service}/COST_CALCULATIONS_DYNAMO_TABLE}
    OWN: ${ssm:/amplify/${sls:stage}/${self:service}/ACCOUNTS_DYNAMO_TABLE}
    ADMINS: ${ssm:/amplify/${sls:stage}/shared/ADMINS}
    GUARDRAIL: ${ssm:/amplify/${sls:stage}/shared/BEDROCK_GUARDRAIL_ID, ''}
    SECRETS: ${ssm:/amplify/${sls:stage}/shared/SECRETS_ARN_NAME}
    # ${ssm:/amplify/dev/shared/COMMENTED_OUT} is no reference
  iam:
    role:
      statements:
        - Effect: Allow
          Action: [dynamodb:GetItem]
          Resource:
            - !Sub "arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/x"
            - Fn::ImportValue: ${sls:stage}-RestApiId
            - !GetAtt [A, Arn]
resources:
  Resources:
    AccountingChatUsageDynamoDbTable:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: ${self:provider.environment.CHAT_USAGE_DYNAMO_TABLE}
    AccountsTable:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: ${self:provider.environment.ACCOUNTS_DYNAMO_TABLE}
"""

JS = """\
service:
  name: amplify-${self:custom.depName}-amplify-js
provider:
  environment:
    # Locally Defined Variables
    COST_CALCULATIONS_DYNAMO_TABLE: amplify-${self:custom.depName}-lambda-${sls:stage}-cost-calculations
    REQUEST_STATE_DYNAMO_TABLE: ${self:service}-${sls:stage}-request-state
    #
    AFTER_A_BARE_COMMENT: not in the section
    AGENT: ${ssm:/amplify/${sls:stage}/shared/AGENT_ENDPOINT}
    COSTS: ${ssm:/amplify/${sls:stage}/amplify-${self:custom.depName}-lambda/COST_CALCULATIONS_DYNAMO_TABLE}
"""

ADMIN = """\
service: amplify-${self:custom.depName}-admin
provider:
  environment:
  # Locally Defined Variables
    AMPLIFY_ADMIN_DYNAMODB_TABLE: ${self:service}-${sls:stage}-admin-configs
    CRITICAL_ERRORS_SNS_TOPIC_ARN: !Ref CriticalErrorsNotificationTopic
    TOPIC_BY_LONG_FORM:
      Fn::GetAtt: [Topic, Arn]
  # No end mark: the section ends with its mapping
  iam:
    AFTER: not a variable
functions:
    alsoIndentedByFour: not a variable
"""

AGENT = """\
service: amplify-${self:custom.depName}-agent-loop
provider:
  environment:
    # Locally Defined Variables
    AGENT_STATE_DYNAMODB_TABLE: ${self:service}-${sls:stage}-agent-state
    AGENT_FAT_CONTAINER_URL: ${cf:${self:service}-${sls:stage}.AgentRouterFnUrlContainerFatLambdaFunctionUrl}
    # Other Variables
    NOT_ONE: x
"""

EMBEDDING = """\
service: amplify-${self:custom.depName}-embedding
provider:
  environment:
    # Locally Defined Variables
    RAG_POSTGRES_DB_CLUSTER: ${sls:stage}-${self:service}-rag-cluster
    # Imported Variables
resources:
  Resources:
    Rule:
      Properties:
        Sub: !ImportValue '${sls:stage}-VpcId'
        Strange: !NeverHeardOf {a: [!Another x]}
"""

TEMPLATE = """\
service: example-service
provider:
  environment:
    # Locally Defined Variables
    EXAMPLE: x
    # Imported Variables
    OLD: ${ssm:/amplify/${sls:stage}/shared/NOBODY_HAS_THIS}
"""

VAR = """\
DEP_NAME: {dep}
DEP_REGION: us-east-1
ADMINS: ann@example.edu,bob@example.edu
CHANGE_SET_BOOLEAN: false
AGENT_ENDPOINT: ""
MIN_ACU: 0.5
VPC_ID:
LOG_LEVEL: INFO
NOT_SHARED_BY_ANYBODY: x
"""

SERVICES = {
    "amplify-lambda": LAMBDA,
    "amplify-lambda-js": JS,
    "amplify-lambda-admin": ADMIN,
    "amplify-agent-loop-lambda": AGENT,
    "embedding": EMBEDDING,
    "amplify-lambda-python-base": TEMPLATE,
}


def write_checkout(root: Path, *, dep: str = "v6", stage: str = "dev", next_release: bool = False) -> Path:
    """Write the checkout under `root`; the next release reads shared parameters at `/amplify/{stage}/NAME`."""
    for directory, text in SERVICES.items():
        write_service(root, directory, text.replace("/shared/", "/") if next_release else text)
    (root / "var").mkdir()
    (root / "var" / f"{stage}-var.yml").write_text(VAR.format(dep=dep))
    (root / "scripts").mkdir()
    return root


def write_service(root: Path, directory: str, text: str) -> Path:
    folder = root / directory
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serverless.yml").write_text(text)
    return folder


def section(*lines: str, service: str = "amplify-v6-lambda", after: str = "") -> str:
    """A serverless.yml with these variables in its section, and `after` at the indentation of the variables."""
    body = "".join(f"    {line}\n" for line in ("# Locally Defined Variables", *lines, "# Imported Variables", after))
    return f"service: {service}\nprovider:\n  environment:\n{body}"
