-- The tables of n8n 1.123.5 that an execution touches, as n8n itself creates them.

CREATE TABLE binary_data (
    "fileId" uuid NOT NULL,
    "sourceType" character varying(50) NOT NULL,
    "sourceId" character varying(255) NOT NULL,
    data bytea NOT NULL,
    "mimeType" character varying(255),
    "fileName" character varying(255),
    "fileSize" integer NOT NULL,
    "createdAt" timestamp(3) with time zone DEFAULT CURRENT_TIMESTAMP(3) NOT NULL,
    "updatedAt" timestamp(3) with time zone DEFAULT CURRENT_TIMESTAMP(3) NOT NULL,
    CONSTRAINT "CHK_binary_data_sourceType" CHECK ((("sourceType")::text = ANY ((ARRAY['execution'::character varying, 'chat_message_attachment'::character varying])::text[])))
);

CREATE TABLE execution_data (
    "executionId" integer NOT NULL,
    "workflowData" json NOT NULL,
    data text NOT NULL
);

CREATE TABLE execution_entity (
    id integer NOT NULL,
    finished boolean NOT NULL,
    mode character varying NOT NULL,
    "retryOf" character varying,
    "retrySuccessId" character varying,
    "startedAt" timestamp(3) with time zone,
    "stoppedAt" timestamp(3) with time zone,
    "waitTill" timestamp(3) with time zone,
    status character varying NOT NULL,
    "workflowId" character varying(36) NOT NULL,
    "deletedAt" timestamp(3) with time zone,
    "createdAt" timestamp(3) with time zone DEFAULT CURRENT_TIMESTAMP(3) NOT NULL
);

CREATE SEQUENCE execution_entity_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE execution_entity_id_seq OWNED BY execution_entity.id;

CREATE TABLE execution_metadata (
    id integer NOT NULL,
    "executionId" integer NOT NULL,
    key character varying(255) NOT NULL,
    value text NOT NULL
);

CREATE SEQUENCE execution_metadata_temp_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE execution_metadata_temp_id_seq OWNED BY execution_metadata.id;

CREATE TABLE workflow_entity (
    name character varying(128) NOT NULL,
    active boolean NOT NULL,
    nodes json NOT NULL,
    connections json NOT NULL,
    "createdAt" timestamp(3) with time zone DEFAULT CURRENT_TIMESTAMP(3) NOT NULL,
    "updatedAt" timestamp(3) with time zone DEFAULT CURRENT_TIMESTAMP(3) NOT NULL,
    settings json,
    "staticData" json,
    "pinData" json,
    "versionId" character(36) NOT NULL,
    "triggerCount" integer DEFAULT 0 NOT NULL,
    id character varying(36) NOT NULL,
    meta json,
    "parentFolderId" character varying(36) DEFAULT NULL::character varying,
    "isArchived" boolean DEFAULT false NOT NULL,
    "versionCounter" integer DEFAULT 1 NOT NULL,
    description text,
    "activeVersionId" character varying(36)
);

ALTER TABLE ONLY execution_entity ALTER COLUMN id SET DEFAULT nextval('execution_entity_id_seq'::regclass);

ALTER TABLE ONLY execution_metadata ALTER COLUMN id SET DEFAULT nextval('execution_metadata_temp_id_seq'::regclass);

ALTER TABLE ONLY execution_metadata
    ADD CONSTRAINT "PK_17a0b6284f8d626aae88e1c16e4" PRIMARY KEY (id);

ALTER TABLE ONLY binary_data
    ADD CONSTRAINT "PK_fc3691585b39408bb0551122af6" PRIMARY KEY ("fileId");

ALTER TABLE ONLY execution_data
    ADD CONSTRAINT execution_data_pkey PRIMARY KEY ("executionId");

ALTER TABLE ONLY execution_entity
    ADD CONSTRAINT pk_e3e63bbf986767844bbe1166d4e PRIMARY KEY (id);

ALTER TABLE ONLY workflow_entity
    ADD CONSTRAINT workflow_entity_pkey PRIMARY KEY (id);

CREATE INDEX "IDX_56900edc3cfd16612e2ef2c6a8" ON binary_data USING btree ("sourceType", "sourceId");

CREATE UNIQUE INDEX "IDX_cec8eea3bf49551482ccb4933e" ON execution_metadata USING btree ("executionId", key);

CREATE INDEX "IDX_execution_entity_deletedAt" ON execution_entity USING btree ("deletedAt");

CREATE INDEX "IDX_workflow_entity_name" ON workflow_entity USING btree (name);

CREATE INDEX idx_execution_entity_stopped_at_status_deleted_at ON execution_entity USING btree ("stoppedAt", status, "deletedAt") WHERE (("stoppedAt" IS NOT NULL) AND ("deletedAt" IS NULL));

CREATE INDEX idx_execution_entity_wait_till_status_deleted_at ON execution_entity USING btree ("waitTill", status, "deletedAt") WHERE (("waitTill" IS NOT NULL) AND ("deletedAt" IS NULL));

CREATE INDEX idx_execution_entity_workflow_id_started_at ON execution_entity USING btree ("workflowId", "startedAt") WHERE (("startedAt" IS NOT NULL) AND ("deletedAt" IS NULL));

CREATE UNIQUE INDEX pk_workflow_entity_id ON workflow_entity USING btree (id);

ALTER TABLE ONLY execution_metadata
    ADD CONSTRAINT "FK_31d0b4c93fb85ced26f6005cda3" FOREIGN KEY ("executionId") REFERENCES execution_entity(id) ON DELETE CASCADE;

ALTER TABLE ONLY execution_data
    ADD CONSTRAINT execution_data_fk FOREIGN KEY ("executionId") REFERENCES execution_entity(id) ON DELETE CASCADE;

ALTER TABLE ONLY execution_entity
    ADD CONSTRAINT fk_execution_entity_workflow_id FOREIGN KEY ("workflowId") REFERENCES workflow_entity(id) ON DELETE CASCADE;
