import{C as m}from"./chunk-LAPAO5TW.js";m();
