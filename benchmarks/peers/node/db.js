// One connection pool, as the pg documentation shows it. DATABASE_URL comes from the runner.
const { Pool } = require('pg');

exports.pool = (max) => new Pool({ connectionString: process.env.DATABASE_URL, max });

exports.insertMessage = 'insert into messages(id, room_id, sender_id, content, created_at) values ($1, $2, $3, $4, $5)';
exports.insertMessages =
  'insert into messages(id, room_id, sender_id, content, created_at) ' +
  'select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[])';
exports.insertLocation = 'insert into locations(driver_id, lat, lng, created_at) values ($1, $2, $3, $4)';
