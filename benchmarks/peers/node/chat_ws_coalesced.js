// The ws package as chat_ws.js uses it, with two designs added: all messages that wait are stored by one INSERT (one commit)
// while the next ones collect, and what one commit gives a socket, its acks and the events of its room, leaves in one write.
const http = require('http');
const crypto = require('crypto');
const { WebSocketServer, Sender } = require('ws');
const db = require('./db');

const pool = db.pool(2);
const server = http.createServer((req, res) => res.end('ok'));
const wss = new WebSocketServer({ server, perMessageDeflate: false });
const rooms = new Map();
let waiting = [];
let committing = false;

const frame = (data) =>
  Buffer.concat(Sender.frame(Buffer.from(JSON.stringify(data)), { fin: true, opcode: 1, mask: false, rsv1: false, readOnly: true }));

const append = (map, key, value) => (map.has(key) ? map.get(key).push(value) : map.set(key, [value]));

async function store(batch) {
  const columns = ['id', 'room', 'user', 'content', 'now'].map((name) => batch.map((message) => message[name]));
  await pool.query({ name: 'messages', text: db.insertMessages, values: columns });
}

function deliver(batch) {
  const events = new Map(); // room -> frames of this commit
  const acks = new Map(); // socket -> frames of this commit
  for (const { socket, client_id, id, room, user, content, now } of batch) {
    const created_at = now.toISOString();
    append(acks, socket, frame({ type: 'ack', client_id, id, created_at }));
    append(events, room, frame({ type: 'message', id, room_id: room, sender_id: user, content, created_at }));
  }
  for (const [room, frames] of events) {
    const joined = Buffer.concat(frames);
    for (const member of rooms.get(room) || []) {
      if (member.readyState !== 1) continue;
      member._socket.write(acks.has(member) ? Buffer.concat([...acks.get(member), joined]) : joined);
    }
  }
}

async function commit() {
  committing = true;
  while (waiting.length) {
    const batch = waiting;
    waiting = [];
    await store(batch);
    deliver(batch);
  }
  committing = false;
}

wss.on('connection', (socket, req) => {
  const query = new URL(req.url, 'http://localhost').searchParams;
  const token = query.get('token');
  if (!token || !token.startsWith('tok')) return socket.close(4401);
  const user = parseInt(token.slice(3));
  const room = query.get('room');
  if (!rooms.has(room)) rooms.set(room, new Set());
  const members = rooms.get(room);
  members.add(socket);
  socket.on('close', () => {
    members.delete(socket);
    if (!members.size) rooms.delete(room);
  });
  socket.on('message', (text) => {
    const { client_id, content } = JSON.parse(text);
    waiting.push({ socket, client_id, id: crypto.randomUUID(), room, user, content, now: new Date() });
    if (!committing) commit();
  });
});
server.listen(+process.env.PORT, '127.0.0.1');
