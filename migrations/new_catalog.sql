-- A new catalog: what the migrations make. Written by `python -m tools.new_catalog`.
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE library (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE recipe (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fingerprint TEXT NOT NULL, 
	document TEXT NOT NULL, 
	active BOOLEAN NOT NULL, 
	UNIQUE (fingerprint)
);
CREATE TABLE image (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	sha256 TEXT NOT NULL, 
	width INTEGER DEFAULT '0' NOT NULL, 
	height INTEGER DEFAULT '0' NOT NULL, 
	format TEXT DEFAULT '' NOT NULL, 
	taken_at DATETIME, 
	camera TEXT, lens TEXT, latitude FLOAT, longitude FLOAT, orientation INTEGER DEFAULT '1' NOT NULL, icc_profile TEXT, size_bytes BIGINT DEFAULT '0' NOT NULL, perceptual_hash TEXT, added_at FLOAT DEFAULT '0' NOT NULL, 
	UNIQUE (sha256)
);
CREATE TABLE source (
	path TEXT NOT NULL, 
	image_id INTEGER NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, missing_since FLOAT, folded TEXT DEFAULT '' NOT NULL, excluded_since FLOAT, 
	PRIMARY KEY (path), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);
CREATE TABLE ingest (
	image_id INTEGER NOT NULL, 
	recipe_id INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	owner TEXT, 
	lease_until FLOAT, 
	reason TEXT, 
	picture_vector BLOB, crashes INTEGER DEFAULT '0' NOT NULL, interruptions INTEGER DEFAULT '0' NOT NULL, retry_at FLOAT, removed_segments INTEGER DEFAULT '0' NOT NULL, errors INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (image_id, recipe_id), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(recipe_id) REFERENCES recipe (id) ON DELETE CASCADE
);
CREATE INDEX ingest_by_state ON ingest (recipe_id, state, image_id);
CREATE TABLE change_log (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	recipe_id INTEGER NOT NULL, 
	op TEXT NOT NULL, 
	segment_id INTEGER NOT NULL
);
CREATE TABLE job (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	preset TEXT, 
	paths TEXT NOT NULL, 
	total INTEGER DEFAULT '0' NOT NULL, 
	done INTEGER DEFAULT '0' NOT NULL, 
	segments INTEGER DEFAULT '0' NOT NULL, 
	skipped INTEGER DEFAULT '0' NOT NULL, 
	current TEXT, 
	error TEXT, 
	report TEXT, 
	owner TEXT NOT NULL, 
	started_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	finished_at FLOAT
, stage TEXT, stopping BOOLEAN DEFAULT '0' NOT NULL, device TEXT);
CREATE TABLE image_tag (
	image_id INTEGER NOT NULL, 
	tag TEXT NOT NULL, 
	PRIMARY KEY (image_id, tag), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);
CREATE INDEX ix_image_tag_tag ON image_tag (tag);
CREATE TABLE hash_band (
	image_id INTEGER NOT NULL, 
	band INTEGER NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (image_id, band), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);
CREATE INDEX hash_band_by_value ON hash_band (band, value);
CREATE TABLE near_duplicate (
	image_id INTEGER NOT NULL, 
	other_id INTEGER NOT NULL, 
	bits INTEGER NOT NULL, 
	PRIMARY KEY (image_id, other_id), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(other_id) REFERENCES image (id) ON DELETE CASCADE
);
CREATE INDEX ix_near_duplicate_other_id ON near_duplicate (other_id);
CREATE TABLE caption (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	segment_id INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	model TEXT NOT NULL, 
	host TEXT NOT NULL, 
	prompt_sha256 TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	CONSTRAINT caption_once UNIQUE (segment_id, model, prompt_sha256), 
	FOREIGN KEY(segment_id) REFERENCES segment (id) ON DELETE CASCADE
);
CREATE VIRTUAL TABLE caption_words USING fts5(text, content='caption', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2');
CREATE TRIGGER caption_added AFTER INSERT ON caption BEGIN INSERT INTO caption_words (rowid, text) VALUES (NEW.id, NEW.text); END;
CREATE TRIGGER caption_removed AFTER DELETE ON caption BEGIN INSERT INTO caption_words (caption_words, rowid, text) VALUES ('delete', OLD.id, OLD.text); END;
CREATE TRIGGER caption_changed AFTER UPDATE ON caption BEGIN INSERT INTO caption_words (caption_words, rowid, text) VALUES ('delete', OLD.id, OLD.text); INSERT INTO caption_words (rowid, text) VALUES (NEW.id, NEW.text); END;
CREATE TABLE collection (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	UNIQUE (name)
);
CREATE TABLE collection_image (
	collection_id INTEGER NOT NULL, 
	image_id INTEGER NOT NULL, 
	PRIMARY KEY (collection_id, image_id), 
	FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE, 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE
);
CREATE INDEX ix_collection_image_image_id ON collection_image (image_id);
CREATE TABLE segment_vector (
	segment_id INTEGER NOT NULL, 
	context_vector BLOB NOT NULL, 
	masked_vector BLOB NOT NULL, 
	PRIMARY KEY (segment_id), 
	FOREIGN KEY(segment_id) REFERENCES segment (id) ON DELETE CASCADE
);
CREATE TABLE "segment" (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	image_id INTEGER NOT NULL, 
	recipe_id INTEGER NOT NULL, 
	x0 INTEGER NOT NULL, 
	y0 INTEGER NOT NULL, 
	x1 INTEGER NOT NULL, 
	y1 INTEGER NOT NULL, 
	area INTEGER NOT NULL, 
	counts BLOB NOT NULL, 
	predicted_iou FLOAT NOT NULL, 
	stability FLOAT NOT NULL, 
	holds INTEGER DEFAULT '0' NOT NULL, 
	lies_in INTEGER DEFAULT '0' NOT NULL, 
	area_tenth INTEGER NOT NULL, kind TEXT DEFAULT 'thing' NOT NULL, reading_order INTEGER, of_text BOOLEAN DEFAULT '0' NOT NULL, 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(recipe_id) REFERENCES recipe (id) ON DELETE CASCADE
);
CREATE INDEX segment_by_image ON segment (image_id, recipe_id);
CREATE INDEX segment_by_recipe ON segment (recipe_id);
CREATE INDEX source_missing ON source (path) WHERE missing_since IS NOT NULL;
CREATE INDEX source_excluded ON source (path) WHERE excluded_since IS NOT NULL;
CREATE INDEX source_by_folded ON source (folded);
CREATE TABLE counter (
	kind TEXT NOT NULL, 
	recipe_id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	PRIMARY KEY (kind, recipe_id, "key")
)
 WITHOUT ROWID

;
CREATE TABLE log_start (
	name TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TRIGGER count_images_up AFTER INSERT ON image BEGIN INSERT INTO counter VALUES ('images', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_images_down AFTER DELETE ON image BEGIN INSERT INTO counter VALUES ('images', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_format_up AFTER INSERT ON image WHEN NEW.format <> '' BEGIN INSERT INTO counter VALUES ('format', 0, NEW.format, 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_format_down AFTER DELETE ON image WHEN OLD.format <> '' BEGIN INSERT INTO counter VALUES ('format', 0, OLD.format, -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_format_off AFTER UPDATE OF format ON image WHEN OLD.format <> '' BEGIN INSERT INTO counter VALUES ('format', 0, OLD.format, -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_format_on AFTER UPDATE OF format ON image WHEN NEW.format <> '' BEGIN INSERT INTO counter VALUES ('format', 0, NEW.format, 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_missing_up AFTER INSERT ON source WHEN NEW.missing_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('missing', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_missing_down AFTER DELETE ON source WHEN OLD.missing_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('missing', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_missing_off AFTER UPDATE OF missing_since ON source WHEN OLD.missing_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('missing', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_missing_on AFTER UPDATE OF missing_since ON source WHEN NEW.missing_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('missing', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_excluded_up AFTER INSERT ON source WHEN NEW.excluded_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('excluded', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_excluded_down AFTER DELETE ON source WHEN OLD.excluded_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('excluded', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_excluded_off AFTER UPDATE OF excluded_since ON source WHEN OLD.excluded_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('excluded', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_excluded_on AFTER UPDATE OF excluded_since ON source WHEN NEW.excluded_since IS NOT NULL BEGIN INSERT INTO counter VALUES ('excluded', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_state_up AFTER INSERT ON ingest BEGIN INSERT INTO counter VALUES ('state', NEW.recipe_id, NEW.state, 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_state_down AFTER DELETE ON ingest BEGIN INSERT INTO counter VALUES ('state', OLD.recipe_id, OLD.state, -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_state_off AFTER UPDATE OF recipe_id, state ON ingest BEGIN INSERT INTO counter VALUES ('state', OLD.recipe_id, OLD.state, -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_state_on AFTER UPDATE OF recipe_id, state ON ingest BEGIN INSERT INTO counter VALUES ('state', NEW.recipe_id, NEW.state, 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_captions_up AFTER INSERT ON caption BEGIN INSERT INTO counter VALUES ('captions', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_captions_down AFTER DELETE ON caption BEGIN INSERT INTO counter VALUES ('captions', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_segments_up AFTER INSERT ON segment BEGIN INSERT INTO counter VALUES ('segments', NEW.recipe_id, NEW.area_tenth, 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_segments_down AFTER DELETE ON segment BEGIN INSERT INTO counter VALUES ('segments', OLD.recipe_id, OLD.area_tenth, -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_segments_off AFTER UPDATE OF recipe_id, area_tenth ON segment BEGIN INSERT INTO counter VALUES ('segments', OLD.recipe_id, OLD.area_tenth, -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER count_segments_on AFTER UPDATE OF recipe_id, area_tenth ON segment BEGIN INSERT INTO counter VALUES ('segments', NEW.recipe_id, NEW.area_tenth, 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_near_duplicates_up AFTER INSERT ON near_duplicate WHEN NOT EXISTS (SELECT 1 FROM near_duplicate WHERE image_id = NEW.image_id AND other_id <> NEW.other_id) BEGIN INSERT INTO counter VALUES ('near_duplicates', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_near_duplicates_down AFTER DELETE ON near_duplicate WHEN NOT EXISTS (SELECT 1 FROM near_duplicate WHERE image_id = OLD.image_id AND other_id <> OLD.other_id) BEGIN INSERT INTO counter VALUES ('near_duplicates', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TABLE listing (
	recipe_id INTEGER NOT NULL, 
	image_id INTEGER NOT NULL, 
	date TEXT NOT NULL, 
	date_from TEXT NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (recipe_id, image_id)
)
 WITHOUT ROWID

;
CREATE INDEX source_by_image ON source (image_id, path);
CREATE INDEX source_by_time ON source (image_id, mtime_ns);
CREATE INDEX listing_by_date ON listing (recipe_id, date, image_id);
CREATE INDEX listing_by_name ON listing (recipe_id, name, image_id);
CREATE TRIGGER list_done AFTER INSERT ON ingest WHEN NEW.state = 'done' BEGIN DELETE FROM listing WHERE image_id = NEW.image_id AND recipe_id = NEW.recipe_id; INSERT INTO listing (recipe_id, image_id, date, date_from, name) SELECT ingest.recipe_id, ingest.image_id, coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM ingest JOIN image ON image.id = ingest.image_id WHERE ingest.state = 'done' AND ingest.image_id = NEW.image_id AND ingest.recipe_id = NEW.recipe_id; END;
CREATE TRIGGER list_on AFTER UPDATE OF state ON ingest WHEN NEW.state = 'done' AND OLD.state <> 'done' BEGIN DELETE FROM listing WHERE image_id = NEW.image_id AND recipe_id = NEW.recipe_id; INSERT INTO listing (recipe_id, image_id, date, date_from, name) SELECT ingest.recipe_id, ingest.image_id, coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM ingest JOIN image ON image.id = ingest.image_id WHERE ingest.state = 'done' AND ingest.image_id = NEW.image_id AND ingest.recipe_id = NEW.recipe_id; END;
CREATE TRIGGER list_off AFTER UPDATE OF state ON ingest WHEN NEW.state <> 'done' AND OLD.state = 'done' BEGIN DELETE FROM listing WHERE image_id = OLD.image_id AND recipe_id = OLD.recipe_id; END;
CREATE TRIGGER list_gone AFTER DELETE ON ingest WHEN OLD.state = 'done' BEGIN DELETE FROM listing WHERE image_id = OLD.image_id AND recipe_id = OLD.recipe_id; END;
CREATE TRIGGER list_taken AFTER UPDATE OF taken_at ON image WHEN OLD.taken_at IS NOT NEW.taken_at BEGIN UPDATE listing SET (date, date_from, name) = (SELECT coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM image WHERE image.id = listing.image_id) WHERE recipe_id IN (SELECT id FROM recipe) AND image_id = NEW.id AND EXISTS (SELECT 1 FROM image WHERE image.id = NEW.id); END;
CREATE TRIGGER list_path AFTER INSERT ON source BEGIN UPDATE listing SET (date, date_from, name) = (SELECT coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM image WHERE image.id = listing.image_id) WHERE recipe_id IN (SELECT id FROM recipe) AND image_id = NEW.image_id AND EXISTS (SELECT 1 FROM image WHERE image.id = NEW.image_id); END;
CREATE TRIGGER list_path_gone AFTER DELETE ON source BEGIN UPDATE listing SET (date, date_from, name) = (SELECT coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM image WHERE image.id = listing.image_id) WHERE recipe_id IN (SELECT id FROM recipe) AND image_id = OLD.image_id AND EXISTS (SELECT 1 FROM image WHERE image.id = OLD.image_id); END;
CREATE TRIGGER list_path_moved AFTER UPDATE OF image_id, mtime_ns ON source WHEN OLD.image_id IS NOT NEW.image_id OR OLD.mtime_ns IS NOT NEW.mtime_ns BEGIN UPDATE listing SET (date, date_from, name) = (SELECT coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM image WHERE image.id = listing.image_id) WHERE recipe_id IN (SELECT id FROM recipe) AND image_id = NEW.image_id AND EXISTS (SELECT 1 FROM image WHERE image.id = NEW.image_id); UPDATE listing SET (date, date_from, name) = (SELECT coalesce(substr(image.taken_at, 1, 19), (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1), datetime(image.added_at, 'unixepoch')), CASE WHEN substr(image.taken_at, 1, 19) IS NOT NULL THEN 'camera' WHEN (SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source WHERE image_id = image.id AND mtime_ns > 0 AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY mtime_ns LIMIT 1) IS NOT NULL THEN 'file' ELSE 'added' END, coalesce((SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id AND NOT folded GLOB '*/uploads/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][./]*' ORDER BY path LIMIT 1), (SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) FROM source WHERE image_id = image.id  ORDER BY path LIMIT 1), '') FROM image WHERE image.id = listing.image_id) WHERE recipe_id IN (SELECT id FROM recipe) AND image_id = OLD.image_id AND EXISTS (SELECT 1 FROM image WHERE image.id = OLD.image_id); END;
CREATE TABLE saved_search (
	name TEXT NOT NULL, 
	address TEXT NOT NULL, 
	saved_at FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE reading (
	image_id INTEGER NOT NULL, 
	recipe_id INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	owner TEXT, 
	lease_until FLOAT, 
	reason TEXT, 
	crashes INTEGER DEFAULT '0' NOT NULL, 
	interruptions INTEGER DEFAULT '0' NOT NULL, 
	errors INTEGER DEFAULT '0' NOT NULL, 
	retry_at FLOAT, 
	reader TEXT, 
	PRIMARY KEY (image_id, recipe_id), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(recipe_id) REFERENCES recipe (id) ON DELETE CASCADE
);
CREATE INDEX reading_by_state ON reading (recipe_id, state, image_id);
CREATE TABLE text_line (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	image_id INTEGER NOT NULL, 
	recipe_id INTEGER NOT NULL, 
	segment_id INTEGER, 
	element_id INTEGER, 
	position INTEGER NOT NULL, 
	corners TEXT NOT NULL, 
	text TEXT NOT NULL, 
	score FLOAT NOT NULL, 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(recipe_id) REFERENCES recipe (id) ON DELETE CASCADE, 
	FOREIGN KEY(segment_id) REFERENCES segment (id) ON DELETE SET NULL, 
	FOREIGN KEY(element_id) REFERENCES segment (id) ON DELETE SET NULL
);
CREATE INDEX ix_text_line_segment_id ON text_line (segment_id);
CREATE INDEX ix_text_line_element_id ON text_line (element_id);
CREATE INDEX text_line_by_image ON text_line (image_id, recipe_id, position);
CREATE TABLE picture_text (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	image_id INTEGER NOT NULL, 
	recipe_id INTEGER NOT NULL, 
	folded TEXT NOT NULL, 
	spaced TEXT NOT NULL, 
	CONSTRAINT picture_text_once UNIQUE (image_id, recipe_id), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(recipe_id) REFERENCES recipe (id) ON DELETE CASCADE
);
CREATE INDEX ix_text_line_recipe_id ON text_line (recipe_id);
CREATE INDEX ix_picture_text_recipe_id ON picture_text (recipe_id);
CREATE VIRTUAL TABLE text_words USING fts5(spaced, content='picture_text', content_rowid='id', tokenize="unicode61 remove_diacritics 0 categories 'L* N* Co M*'");
CREATE TRIGGER text_words_added AFTER INSERT ON picture_text BEGIN INSERT INTO text_words (rowid, spaced) VALUES (NEW.id, NEW.spaced); END;
CREATE TRIGGER text_words_removed AFTER DELETE ON picture_text BEGIN INSERT INTO text_words (text_words, rowid, spaced) VALUES ('delete', OLD.id, OLD.spaced); END;
CREATE TRIGGER text_words_changed AFTER UPDATE ON picture_text BEGIN INSERT INTO text_words (text_words, rowid, spaced) VALUES ('delete', OLD.id, OLD.spaced); INSERT INTO text_words (rowid, spaced) VALUES (NEW.id, NEW.spaced); END;
CREATE VIRTUAL TABLE text_grams USING fts5(folded, content='picture_text', content_rowid='id', tokenize="trigram case_sensitive 1");
CREATE TRIGGER text_grams_added AFTER INSERT ON picture_text BEGIN INSERT INTO text_grams (rowid, folded) VALUES (NEW.id, NEW.folded); END;
CREATE TRIGGER text_grams_removed AFTER DELETE ON picture_text BEGIN INSERT INTO text_grams (text_grams, rowid, folded) VALUES ('delete', OLD.id, OLD.folded); END;
CREATE TRIGGER text_grams_changed AFTER UPDATE ON picture_text BEGIN INSERT INTO text_grams (text_grams, rowid, folded) VALUES ('delete', OLD.id, OLD.folded); INSERT INTO text_grams (rowid, folded) VALUES (NEW.id, NEW.folded); END;
CREATE TRIGGER count_reading_insert AFTER INSERT ON reading BEGIN INSERT INTO counter (kind, recipe_id, key, count) SELECT 'reading', NEW.recipe_id, NEW.state, 1 WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count; END;
CREATE TRIGGER count_reading_delete AFTER DELETE ON reading BEGIN INSERT INTO counter (kind, recipe_id, key, count) SELECT 'reading', OLD.recipe_id, OLD.state, -1 WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count; END;
CREATE TRIGGER count_reading_update AFTER UPDATE OF state ON reading BEGIN INSERT INTO counter (kind, recipe_id, key, count) SELECT 'reading', OLD.recipe_id, OLD.state, -1 WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count; INSERT INTO counter (kind, recipe_id, key, count) SELECT 'reading', NEW.recipe_id, NEW.state, 1 WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count; END;
CREATE TRIGGER count_lines_insert AFTER INSERT ON text_line BEGIN INSERT INTO counter (kind, recipe_id, key, count) SELECT 'lines', NEW.recipe_id, '', 1 WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count; END;
CREATE TRIGGER count_lines_delete AFTER DELETE ON text_line BEGIN INSERT INTO counter (kind, recipe_id, key, count) SELECT 'lines', OLD.recipe_id, '', -1 WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count; END;
CREATE TRIGGER list_page AFTER INSERT ON listing WHEN rtrim(NEW.name, '0123456789') GLOB '*.pdf#page=' AND NEW.name <> rtrim(NEW.name, '0123456789') || printf('%07d', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789')) + 1) AS INTEGER)) BEGIN UPDATE listing SET name = rtrim(NEW.name, '0123456789') || printf('%07d', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789')) + 1) AS INTEGER)) WHERE recipe_id = NEW.recipe_id AND image_id = NEW.image_id; END;
CREATE TRIGGER list_page_again AFTER UPDATE OF name ON listing WHEN rtrim(NEW.name, '0123456789') GLOB '*.pdf#page=' AND NEW.name <> rtrim(NEW.name, '0123456789') || printf('%07d', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789')) + 1) AS INTEGER)) BEGIN UPDATE listing SET name = rtrim(NEW.name, '0123456789') || printf('%07d', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789')) + 1) AS INTEGER)) WHERE recipe_id = NEW.recipe_id AND image_id = NEW.image_id; END;
CREATE TABLE vector_generation (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	recipe_id INTEGER NOT NULL, 
	mix TEXT NOT NULL, 
	dimension INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	filled BOOLEAN DEFAULT '0' NOT NULL, 
	FOREIGN KEY(recipe_id) REFERENCES recipe (id) ON DELETE CASCADE
);
CREATE INDEX ix_vector_generation_recipe_id ON vector_generation (recipe_id);
CREATE TABLE vector_follower (
	name TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE video (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	sha256 TEXT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	seconds FLOAT NOT NULL, 
	frame_rate FLOAT NOT NULL, 
	codec TEXT NOT NULL, 
	container TEXT NOT NULL, 
	made_at DATETIME, 
	has_sound BOOLEAN DEFAULT '0' NOT NULL, 
	lost TEXT, 
	added_at FLOAT NOT NULL, 
	UNIQUE (sha256)
);
CREATE TABLE shot (
	image_id INTEGER NOT NULL, 
	video_id INTEGER NOT NULL, 
	t_start FLOAT NOT NULL, 
	t_end FLOAT NOT NULL, 
	seconds FLOAT, 
	PRIMARY KEY (image_id), 
	FOREIGN KEY(image_id) REFERENCES image (id) ON DELETE CASCADE, 
	FOREIGN KEY(video_id) REFERENCES video (id) ON DELETE CASCADE
);
CREATE INDEX ix_shot_video_id ON shot (video_id);
CREATE TABLE track (
	segment_id INTEGER NOT NULL, 
	t_start FLOAT NOT NULL, 
	t_end FLOAT NOT NULL, 
	best_seconds FLOAT NOT NULL, 
	PRIMARY KEY (segment_id), 
	FOREIGN KEY(segment_id) REFERENCES segment (id) ON DELETE CASCADE
);
CREATE TABLE track_mask (
	segment_id INTEGER NOT NULL, 
	seconds FLOAT NOT NULL, 
	x0 INTEGER NOT NULL, 
	y0 INTEGER NOT NULL, 
	x1 INTEGER NOT NULL, 
	y1 INTEGER NOT NULL, 
	area INTEGER NOT NULL, 
	counts BLOB NOT NULL, 
	PRIMARY KEY (segment_id, seconds), 
	FOREIGN KEY(segment_id) REFERENCES segment (id) ON DELETE CASCADE
);
CREATE TRIGGER video_gone AFTER DELETE ON shot WHEN NOT EXISTS (SELECT 1 FROM shot WHERE video_id = OLD.video_id) BEGIN DELETE FROM video WHERE id = OLD.video_id; END;
CREATE TRIGGER count_videos_up AFTER INSERT ON video BEGIN INSERT INTO counter VALUES ('videos', 0, '', 1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (1); END;
CREATE TRIGGER count_videos_down AFTER DELETE ON video BEGIN INSERT INTO counter VALUES ('videos', 0, '', -1) ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + (-1); END;
CREATE TRIGGER list_shot AFTER INSERT ON listing WHEN rtrim(NEW.name, '0123456789.,') GLOB '*#t=' AND substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) GLOB '[0-9]*,[0-9]*' AND substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) NOT GLOB '*,*,*' AND NEW.name <> rtrim(NEW.name, '0123456789.,') || printf('%010.3f', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) AS REAL)) || substr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), instr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), ',')) BEGIN UPDATE listing SET name = rtrim(NEW.name, '0123456789.,') || printf('%010.3f', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) AS REAL)) || substr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), instr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), ',')) WHERE recipe_id = NEW.recipe_id AND image_id = NEW.image_id; END;
CREATE TRIGGER list_shot_again AFTER UPDATE OF name ON listing WHEN rtrim(NEW.name, '0123456789.,') GLOB '*#t=' AND substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) GLOB '[0-9]*,[0-9]*' AND substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) NOT GLOB '*,*,*' AND NEW.name <> rtrim(NEW.name, '0123456789.,') || printf('%010.3f', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) AS REAL)) || substr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), instr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), ',')) BEGIN UPDATE listing SET name = rtrim(NEW.name, '0123456789.,') || printf('%010.3f', CAST(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1) AS REAL)) || substr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), instr(substr(NEW.name, length(rtrim(NEW.name, '0123456789.,')) + 1), ',')) WHERE recipe_id = NEW.recipe_id AND image_id = NEW.image_id; END;
INSERT INTO "alembic_version" VALUES ('0019');
