// Runs the mini-program's client under node: commands come in as lines of JSON, what happens goes out as such lines.
const path = require('path')
const readline = require('readline')
const wx = require('./wx.js')
const { Bot } = require(path.join(__dirname, '../../examples/miniprogram/bot.js'))

const say = (what) => console.log(JSON.stringify(what))
const make = (opening) => new Bot({
  baseUrl: process.argv[2],
  wx,
  opening,
  onMessage: (message) => say({ message }),
  onGap: () => say({ gap: true }),
})
let bot = make({ device_id: 'phone-mini' })

const commands = {
  start: () => bot.start(),
  stop: () => bot.stop(),
  restart: () => { bot = make({ device_id: 'phone-mini' }) }, // what is in storage stays
  keep: ({ changes }) => bot.keep(changes),
  kept: () => say({ kept: bot.kept }),
  peak: () => say({ peak: wx.peak }),
  ask: async ({ texts, lids = [] }) => {
    const started = Date.now()
    const asked = texts.map((text, at) => bot.ask(text, lids[at]).then(
      (reply) => ({ reply, ms: Date.now() - started }),
      (error) => ({ error: { status: error.status, code: error.code } }),
    ))
    say({ asked: await Promise.all(asked) })
  },
  end: () => process.exit(0),
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const { does, ...more } = JSON.parse(line)
  await commands[does](more)
  say({ done: does })
})
