// What Node's http makes of raw requests. Standard input: a JSON array of inputs in base64. Standard output: for each
// input [[method, body in base64], …] of the requests that came whole, and whether it was refused.
// Nothing is listened to: each input is a stream of its own.
const http = require('node:http');
const { Duplex } = require('node:stream');

class Input extends Duplex {
  constructor(bytes) {
    super();
    this.found = [];
    this.refused = false;
    this.push(bytes);
    this.push(null);
  }
  _read() {}
  _write(chunk, encoding, done) { done(); }
  setTimeout() { return this; }
}

function receive(request, response) {
  const parts = [];
  const place = request.socket.found.push(null) - 1;
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    request.socket.found[place] = [request.method, Buffer.concat(parts).toString('base64')];
    response.end();
  });
  request.on('error', () => {});
}

const server = http.createServer(receive);
server.on('checkContinue', receive);
server.on('checkExpectation', receive);
server.on('clientError', (error, input) => { input.refused = true; });

const inputs = JSON.parse(require('node:fs').readFileSync(0)).map((text) => new Input(Buffer.from(text, 'base64')));
for (const input of inputs) server.emit('connection', input);
setTimeout(() => {
  const results = inputs.map((input) => [input.found.filter((each) => each !== null), input.refused]);
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}, 500);
