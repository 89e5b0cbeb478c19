// node-postgres against the server at DSN: simple and extended protocol, types, errors.
const assert = require('assert')
const { Client } = require('pg')

async function main() {
  const c = new Client({ connectionString: process.env.DSN })
  await c.connect()
  await c.query('DROP TABLE IF EXISTS clients_node')
  await c.query('CREATE TABLE clients_node (id int PRIMARY KEY, t text, n numeric(12,2), b bool, ts timestamptz, j jsonb, a text[])')
  const at = new Date('2026-02-28T12:00:00Z')
  await c.query('INSERT INTO clients_node VALUES ($1,$2,$3,$4,$5,$6,$7)', [1, "it's", '1.50', true, at, { k: [1, null] }, ['x', 'y z', null]])
  for (const q of [{ text: 'SELECT * FROM clients_node WHERE id = $1', values: [1] },
    { name: 'named', text: 'SELECT * FROM clients_node WHERE id = $1', values: [1] },
    { name: 'named', text: 'SELECT * FROM clients_node WHERE id = $1', values: [1] }]) {
    const { rows, fields } = await c.query(q)
    assert.deepStrictEqual(rows, [{ id: 1, t: "it's", n: '1.50', b: true, ts: at, j: { k: [1, null] }, a: ['x', 'y z', null] }])
    assert.strictEqual(fields[2].dataTypeID, 1700)
  }
  const bin = await c.query({ text: 'SELECT id, b FROM clients_node', values: [], binary: true })
  assert.deepStrictEqual(bin.rows, [{ id: 1, b: true }])
  const many = await c.query('SELECT 1 AS a; SELECT 2 AS b')
  assert.deepStrictEqual(many.map(r => r.rows[0]), [{ a: 1 }, { b: 2 }])
  await assert.rejects(c.query('SELECT 1/0'), { code: '22012' })
  await assert.rejects(c.query('SELECT nothing FROM clients_node'), { code: '42703', position: '8' })
  await c.query('BEGIN')
  await c.query('INSERT INTO clients_node (id) VALUES (2)')
  await c.query('ROLLBACK')
  const { rows } = await c.query('SELECT count(*)::int AS n FROM clients_node')
  assert.deepStrictEqual(rows, [{ n: 1 }])
  await c.query('DROP TABLE clients_node')
  await c.end()
  console.log('node-postgres ok')
}

main().catch(e => { console.error(e); process.exit(1) })
