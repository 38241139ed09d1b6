// What the demo renders: a ring of twelve lights, one for each second, and a note for each of them.
//
// ffmpeg draws it from formulas (its filters `geq` and `aevalsrc`). Every picture depends on its own frame number only
// and every sound sample on its own sample number only, so that a chunk is the same whether it is rendered alone or as
// part of the whole video: this is what lets a video be split.

import { words } from './toolchain.mjs'

export const video = { width: 1280, height: 720, fps: 30, totalFrames: 360, duration: 12 }

const SAMPLE_RATE = 48_000

/** The arguments that make ffmpeg render `frameCount` frames from `startFrame` on, with their sound, into one file. */
export function ffmpegArguments({ startFrame, frameCount, outputFile }) {
  return [
    // Errors go to stderr; stdout gets a line `frame=…` now and then, which feeds the progress bar.
    ...words('-y -nostdin -v error -progress pipe:1'),
    // One thread each for filters and encoder: what runs in parallel here is chunks. (The filters need it, too: in
    // ffmpeg 4 the threads of one `geq` share their registers.)
    ...words('-filter_complex_threads 1 -filter_complex'),
    `${picture(startFrame, frameCount)};${sound(startFrame, frameCount)}`,
    ...words('-map [picture] -c:v libx264 -preset veryfast -crf 18 -pix_fmt yuv420p -threads 1'),
    ...words('-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv'),
    // Uncompressed sound, exactly 1,600 samples per frame. Compressed formats have frames of their own (AAC: 1,024
    // samples, the first of them priming) which do not end where a chunk ends: copied one after the other they leave a
    // gap at every seam.
    ...words('-map [sound] -c:a pcm_s16le'),
    outputFile,
  ]
}

/** The filter graph of the picture. */
function picture(startFrame, frameCount) {
  const { width, height, fps } = video
  const canvas = (size) => `color=size=${size}:rate=${fps},setpts=N+${startFrame}`
  return [
    // Soft shapes need no resolution: a small picture, enlarged.
    `${canvas('320x180')},format=yuv420p,geq=${sky()},scale=${width}:${height}:flags=bicubic[sky]`,
    `${canvas('17x7')},format=yuva444p,geq=${frameNumber()},scale=iw*8:ih*8:flags=neighbor[number]`,
    `[sky][number]overlay=x=(W-w)/2:y=(H-h)/2,setpts=PTS-STARTPTS,trim=end_frame=${frameCount}[picture]`,
  ].join(';')
}

/**
 * Drifting colours and the ring, on a field of 16 x 9 units whose origin is the centre. T is the time in seconds.
 * Registers: 0 and 1 are x and y, 2 the distance from the centre, 3 the angle clockwise from the top, 4 the nearest of
 * the twelve lights, 5 the angle to it, 6 the time since it was lit, 7 the angle to the comet's head.
 */
function sky() {
  const position = 'st(0,(X/W-.5)*16);st(1,(Y/H-.5)*9)'
  const clouds = 'sin(.5*ld(0)+.7*T+sin(.6*ld(1)-.4*T))+sin(.8*ld(1)-.5*T+1.5*sin(.3*ld(0)+.35*T))'
  const distanceTo = (angle) => `(ld(2)*ld(2)+9-6*ld(2)*cos(${angle}))`
  const ring = [
    'st(3,atan2(ld(0),-ld(1)));st(4,round(ld(3)*6/PI));st(5,ld(3)-ld(4)*PI/6)',
    'st(6,T-mod(ld(4)+12,12));st(7,mod(T*PI/6-ld(3)+4*PI,2*PI))',
    [
      `if(gte(ld(6),0),80+110*exp(-2*ld(6)),24)*exp(-20*${distanceTo('ld(5)')})`, // the lights
      `100*exp(-16*${distanceTo('ld(7)')})`, // the comet's head
      '90*min(1,12*ld(7))*exp(-2.2*ld(7)-60*pow(ld(2)-3,2))', // and its tail
    ].join('+'),
  ].join(';')
  return [
    `lum='${position};st(2,hypot(ld(0),ld(1)));min(235,56+17*(${clouds})+if(lt(abs(ld(2)-3),.75),${ring},0))'`,
    `cb='${position};148+16*sin(.25*ld(0)-.3*ld(1)+.6*T)'`,
    `cr='${position};132+38*sin(.2*ld(0)+.25*ld(1)+T*PI/6)'`,
  ].join(':')
}

// Digits of 5 x 7 pixels, one base-32 figure per row: drawing text would need a font, which not every machine has.
const DIGITS = [
  'ehjlphe',
  '4c4444e',
  'eh1248v',
  'v2421he',
  '26aiv22',
  'vgu11he',
  '68guhhe',
  'v124888',
  'ehhehhe',
  'ehhf12c',
]

/** The frame number in the middle of the ring, three white digits. */
function frameNumber() {
  const digit = `mod(floor(round(T*${video.fps})/pow(10,2-floor(X/6))),10)`
  const rows = DIGITS.map((digits) => parseInt(digits, 32))
  const bits = choose('ld(0)', rows)
  return `lum=235:cb=128:cr=128:a='st(0,${digit});255*lt(mod(X,6),5)*mod(floor(${bits}/pow(2,34-5*Y-mod(X,6))),2)'`
}

// Semitones above A3, one note a second.
const MELODY = [0, 7, 12, 10, 7, 3, 5, 12, 15, 10, 7, 0]

/**
 * The filter graph of the sound: a plucked note every second, which wanders with the comet, over a chord that goes on
 * through all seams. Registers: 0 is the time in seconds, 1 the time since the note began, 2 the phase of the note.
 */
function sound(startFrame, frameCount) {
  const { fps } = video
  const pluck = 'min(1,200*ld(1))*min(1,40*(1-ld(1)))*exp(-3*ld(1))'
  const channel = (side) =>
    [
      `st(0,(n+${(startFrame * SAMPLE_RATE) / fps})/${SAMPLE_RATE})`,
      'st(1,mod(ld(0),1))',
      `st(2,2*PI*220*pow(2,${choose('floor(ld(0))', MELODY)}/12)*ld(1))`,
      `.22*(1${side}.5*sin(ld(0)*PI/6))*${pluck}*(sin(ld(2))+.4*sin(2*ld(2))+.15*sin(3*ld(2)))` +
        `+.05*(1+.5*sin(2*PI*.25*ld(0)))*(sin(2*PI*110*ld(0))+sin(2*PI*165*ld(0)))`,
    ].join(';')
  return `aevalsrc=exprs='${channel('-')}|${channel('+')}':s=${SAMPLE_RATE}:d=${frameCount / fps}[sound]`
}

/** An expression whose value is `values[index]`. */
function choose(index, values) {
  return values.reduceRight((rest, value, i) => `if(lte(${index},${i}),${value},${rest})`)
}
