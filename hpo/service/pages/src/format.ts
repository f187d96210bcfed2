// Numbers, durations and times as people read them.

const LANGUAGE = "en";
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
export const NONE = "–";

// A measured value: `digits` significant ones, or enough to tell neighbours apart.
export function number(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e").replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString(LANGUAGE);
  return Number(value.toPrecision(digits)).toLocaleString(LANGUAGE, { maximumFractionDigits: 10 });
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : Math.round(value).toLocaleString(LANGUAGE);
}

// An interval's ends; a bound that is not known leaves none.
export function interval(ends: readonly [number | null, number | null] | null, digits = 4): string {
  return ends && ends[0] !== null && ends[1] !== null ? `${number(ends[0], digits)} to ${number(ends[1], digits)}` : NONE;
}

const MOST = 10_000; // estimates above it say no more than that they are large

// "about 1,200", "over 10,000".
export function about(value: number): string {
  return value > MOST ? `over ${count(MOST)}` : `about ${count(value)}`;
}

// "1 run", "2 runs".
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return NONE;
  const shown = share >= 1 ? 100 : Math.min(99, Math.floor(share * 100)); // 100% only when it is done
  return `${shown}%`;
}

// 48 s, 12 min 5 s, 3 h 20 min, 2 d 4 h.
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  if (seconds < 10 && seconds > 0) return `${Number(seconds.toPrecision(2))} s`;
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return joined(Math.floor(whole / MINUTE), "min", whole % MINUTE, "s");
  if (whole < DAY) return joined(Math.floor(whole / HOUR), "h", Math.floor((whole % HOUR) / MINUTE), "min");
  return joined(Math.floor(whole / DAY), "d", Math.floor((whole % DAY) / HOUR), "h");
}

// About 40 s, 23 min, 3 h 20 min: an estimate, with no more figures than it deserves.
export function roughly(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const step = seconds < 30 ? 1 : seconds < 90 ? 5 : seconds < HOUR ? MINUTE : seconds < DAY ? 5 * MINUTE : HOUR;
  return duration(Math.max(1, Math.round(seconds / step) * step));
}

function joined(large: number, unit: string, small: number, smaller: string): string {
  return small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`;
}

// "just now", "5 min ago", "3 d ago"; `now` in seconds.
export function ago(time: number | null | undefined, now = Date.now() / 1000): string {
  if (time === null || time === undefined) return NONE;
  const passed = now - time;
  if (passed < 5) return "just now";
  return passed < 60 * DAY ? `${oneUnit(passed)} ago` : day(time);
}

// "for 14 s", "for 3 h": how long something lasts already.
export function lasting(time: number | null | undefined, now = Date.now() / 1000): string {
  return time === null || time === undefined ? NONE : `for ${oneUnit(Math.max(1, now - time))}`;
}

function oneUnit(passed: number): string {
  if (passed < MINUTE) return `${Math.floor(passed)} s`;
  if (passed < HOUR) return `${Math.floor(passed / MINUTE)} min`;
  return passed < 2 * DAY ? `${Math.floor(passed / HOUR)} h` : `${Math.floor(passed / DAY)} d`;
}

// 2026-11-27 06:15, in the reader's time zone.
export function moment(time: number | null | undefined): string {
  if (time === null || time === undefined) return NONE;
  const at = new Date(time * 1000);
  return `${day(time)} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export function day(time: number): string {
  const at = new Date(time * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export function clock(time: number): string {
  const at = new Date(time * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

export function bytes(size: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let place = 0;
  let shown = size;
  while (shown >= 1024 && place < units.length - 1) {
    shown /= 1024;
    place += 1;
  }
  return `${place ? shown.toPrecision(3) : shown} ${units[place]}`;
}
